"""What a training will take, by arithmetic and by what earlier ones took, before anything is loaded (no torch).

`preflight` measures the same; this is for a page that shows it while the settings are still being chosen.
"""

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ksh_studio.config import SettledTraining, TrainConfig
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Finished, Planned, Resumed, Step
from ksh_studio.jobs.folder import Job, jobs_of
from ksh_studio.jobs.status import job_events
from ksh_studio.marks import affecting
from ksh_studio.models.registry import base_entry
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.project.workspace import Project
from ksh_studio.training.data.buckets import fit
from ksh_studio.training.data.holdout import held_out
from ksh_studio.training.plan.forecast import epochs, needed_mb, picture_mb, remaining
from ksh_studio.training.plan.lora_size import CHECKPOINT_COPIES, lora_numbers

LOOKED_AT = 20
"""Newest jobs whose time a step is considered."""
PROMPTS_FROM_CAPTIONS = 4
"""Previews of one moment when no prompts are named: three captions, and one without the trigger."""


@dataclass(frozen=True)
class Estimate:
    """What a training with these settings will take on this project's drawings."""

    drawings: int
    """Trained on; those held out not counted."""
    held_out: int
    buckets: tuple[tuple[int, int, int], ...]
    """(width, height, drawings trained on) of each size, the largest first."""
    steps: int
    epochs: float
    disk_mb: float
    """Needed for checkpoints, LoRA files and previews."""
    disk_free_mb: float
    seconds: float | None
    """From the time a step took in an earlier job with the same settings, where there is one."""


def estimate(config: SettledTraining, project: Project) -> Estimate:
    """The estimate. Raises StudioError when no drawing can be trained on."""
    entry = base_entry(config.base_model)
    with Catalogue(project) as catalogue:
        sizes = [(one.width, one.height) for one in catalogue.drawings()]
    crops = [size for size in (_crop(*one, config, entry.bucket_step) for one in sizes) if size is not None]
    if not crops:
        raise StudioError("train.no_drawings")
    aside = held_out(len(crops), config.validation_share, config.seed)
    trained = Counter(size for n, size in enumerate(crops) if n not in aside)
    numbers, left = lora_numbers(config, entry), remaining(config, 0)
    prompts = len(config.validation_prompts or project.settings().preview_prompts) or PROMPTS_FROM_CAPTIONS
    previews_mb = prompts * picture_mb(entry.native_size)
    return Estimate(
        drawings=len(crops) - len(aside),
        held_out=len(aside),
        buckets=tuple((*size, trained[size]) for size in sorted(trained, key=lambda size: -size[0] * size[1])),
        steps=config.max_train_steps,
        epochs=epochs(config, len(crops) - len(aside)),
        disk_mb=round(needed_mb(left, numbers * 2 / 1e6, numbers * 4 * CHECKPOINT_COPIES / 1e6, previews_mb), 1),
        disk_free_mb=round(shutil.disk_usage(_there(project.jobs)).free / 1e6, 1),
        seconds=_seconds(config, project),
    )


def _crop(width: int, height: int, config: SettledTraining, step: int) -> tuple[int, int] | None:
    """Size of the training picture; None for a drawing that is too small."""
    try:
        return fit(width, height, config.resolution, step, config.crop).size
    except ValueError:
        return None


def _seconds(config: SettledTraining, project: Project) -> float | None:
    """Steps times the seconds that a step of the newest comparable job took, previews and saves included."""
    for job in jobs_of(project)[:LOOKED_AT]:
        if job.file.stage in ("train", "check") and _same_step_time(config, job):
            step_seconds = _step_seconds(job_events(job))
            if step_seconds is not None:
                return round(step_seconds * config.max_train_steps, 1)
    return None


def _same_step_time(config: SettledTraining, job: Job) -> bool:
    return all(job.file.settings.get(name) == getattr(config, name) for name in affecting(TrainConfig, "step"))


def _step_seconds(events: list[Event]) -> float | None:
    """Seconds a step: as a finished run took, else as was predicted from measured steps; None when neither is said.

    For a job that was resumed the forecast counts: its last step tells only the last process's time.
    """
    done = next((event for event in reversed(events) if isinstance(event, Finished)), None)
    made = [event for event in events if isinstance(event, Step)]
    if done is not None and made and not any(isinstance(event, Resumed) for event in events):
        return made[-1].seconds / len(made)
    planned = next((event for event in reversed(events) if isinstance(event, Planned)), None)
    before = next((event.step for event in events if isinstance(event, Resumed)), 0)
    return planned.seconds / max(1, planned.steps - before) if planned is not None else None


def _there(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return folder if folder.exists() else _there(folder.parent)
