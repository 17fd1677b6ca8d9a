"""Other orders of a caption's tags, made once, so that tags shuffle although embeddings are cached (no torch)."""

import random

from ksh_studio.config import Trigger

ORDERS = 8
"""Orders of one caption; more would teach hardly more and need more memory."""
TRIES = 20
"""Shuffles for each order that is looked for: a few tags have few orders."""


def tag_orders(caption: str, trigger: Trigger, keep: int) -> tuple[str, ...]:
    """Up to seven captions that differ from this one in the order of what stands between its commas.

    The trigger in the caption stays where it is, and the first `keep` tags stay in front. A sentence without commas has
    no other order. The orders follow from the caption, so that every job finds them cached.
    """
    tags = [tag.strip() for tag in trigger.strip(caption).split(",") if tag.strip()]
    kept, free = tags[:keep], tags[keep:]
    chance = random.Random(caption)
    orders = dict.fromkeys([caption])
    for _ in range(TRIES * ORDERS if len(free) > 1 else 0):
        chance.shuffle(free)
        orders[trigger.apply(", ".join([*kept, *free]))] = None
        if len(orders) == ORDERS:
            break
    return tuple(orders)[1:]
