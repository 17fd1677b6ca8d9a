"""Which drawings are held out of training to measure with: chosen when a job begins, then kept (no torch)."""

import random
from collections.abc import Collection, Sequence


def held_out_count(items: int, share: float) -> int:
    """How many drawings are held out: this share of all, rounded; at least one drawing stays for training."""
    return max(0, min(round(items * share), items - 1))


def held_out(items: int, share: float, seed: int) -> set[int]:
    """Indices of the drawings never trained on."""
    return set(random.Random(f"{seed}/held out").sample(range(items), held_out_count(items, share)))


def frozen(ids: Sequence[str], share: float, seed: int, before: Collection[str] = ()) -> set[int]:
    """Indices of the drawings never trained on, of the drawings with these ids.

    before: ids that were held out when the job began; they stay held out, whatever drawings came or went since,
    because a drawing that was trained on measures nothing. With a share of 0 nothing is held out.
    """
    if before and share:
        return {n for n, one in enumerate(ids) if one in before}
    return held_out(len(ids), share, seed)
