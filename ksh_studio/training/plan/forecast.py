"""What a training still has to do, what that takes, and whether the disk has room for it (no torch)."""

from dataclasses import dataclass

from ksh_studio.config import SettledTraining
from ksh_studio.training.plan.settle import per_step

CHECKPOINTS = 4
"""Three are kept while the next one is written."""
PICTURE_BYTES_PER_PIXEL = 3
"""A PNG is smaller."""
EVENT_BYTES = 300
SAVE_MB_PER_SECOND = 100.0
"""Written, synced, hashed and read back: what a plain disk does."""


@dataclass(frozen=True)
class Remaining:
    """How often each thing is still to be done, from step `step` on."""

    steps: int
    evaluations: int
    """Times that previews are drawn and the validation loss is measured, this step's included."""
    saves: int


def remaining(config: SettledTraining, step: int) -> Remaining:
    """What is left of a settled training that stands at `step`."""
    total = config.max_train_steps
    evaluations = {n for n in range(step, total + 1) if n % config.validation_steps == 0} | {total}
    saves = {n for n in range(step + 1, total + 1) if n % config.checkpointing_steps == 0} | {total}
    return Remaining(total - step, len(evaluations), len(saves))


def epochs(config: SettledTraining, trained: int) -> float:
    """Times that each trained drawing is seen in the whole run."""
    return round(config.max_train_steps * per_step(config) / max(1, trained), 1)


def needed_mb(left: Remaining, lora_mb: float, checkpoint_mb: float, previews_mb: float) -> float:
    """Disk space that is still to be filled, in MB of 1e6 bytes: LoRA files, checkpoints, previews, events.

    `previews_mb` is for the previews of one step; each LoRA file has one of them beside it.
    """
    files = left.saves * (lora_mb + previews_mb) + CHECKPOINTS * checkpoint_mb
    return files + left.evaluations * previews_mb + left.steps * EVENT_BYTES / 1e6


def picture_mb(side: int) -> float:
    """Most that a square preview takes."""
    return side * side * PICTURE_BYTES_PER_PIXEL / 1e6
