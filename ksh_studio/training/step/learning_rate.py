"""The learning rate as a pure function of the step: nothing to save, nothing to restore (no torch)."""

import math
from typing import Literal

Schedule = Literal["cosine", "linear", "constant", "constant_with_warmup"]


def lr_factor(schedule: Schedule, step: int, total: int, warmup: int) -> float:
    """What the learning rate is multiplied with at step `step` (1-based) of `total`.

    Rises straight over `warmup` steps to 1, then falls as half a cosine or a straight line, to reach 0 one step after
    the last; "constant" has no warm-up at all.
    """
    if schedule == "constant":
        return 1.0
    if step <= warmup:
        return step / (warmup + 1)
    done = min(1.0, (step - 1 - warmup) / max(1, total - warmup))
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1.0 - done if schedule == "linear" else 1.0
