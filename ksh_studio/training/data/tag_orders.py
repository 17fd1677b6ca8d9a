"""Other orders of a caption's tags, made once, so that tags shuffle although embeddings are cached (no torch)."""

import random

from ksh_studio.config import Trigger

VARIANTS = 8
"""Orders of one caption; more would teach hardly more and need more memory."""
TRIES = 20
"""Shuffles for each variant that is wanted: a few tags have few orders."""


def variants(caption: str, trigger: Trigger, keep: int) -> tuple[str, ...]:
    """Up to seven captions that differ from this one in the order of what stands between its commas.

    caption: with the trigger, which stays where it is; keep: so many of the first tags stay in front.
    A sentence without commas has none. The orders follow from the caption, so that every job finds them cached.
    """
    tags = [tag.strip() for tag in trigger.strip(caption).split(",") if tag.strip()]
    kept, free = tags[:keep], tags[keep:]
    chance = random.Random(caption)
    found = dict.fromkeys([caption])
    for _ in range(TRIES * VARIANTS if len(free) > 1 else 0):
        chance.shuffle(free)
        found[trigger.apply(", ".join([*kept, *free]))] = None
        if len(found) == VARIANTS:
            break
    return tuple(found)[1:]
