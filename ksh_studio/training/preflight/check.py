"""Before the first step: does it fit, how long will it take, is there room for it? Measurements, not guessed."""

import shutil
import time
from collections import Counter
from collections.abc import Generator, Iterator

from ksh_studio.config import SettledTraining
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Finished, Planned
from ksh_studio.jobs.folder import Job
from ksh_studio.project.workspace import Project
from ksh_studio.training.measures.style_score import DRAWINGS
from ksh_studio.training.measures.validation import LEVELS
from ksh_studio.training.memory.measure import MB, total_mb
from ksh_studio.training.memory.out_of_memory import memory_errors
from ksh_studio.training.plan.forecast import SAVE_MB_PER_SECOND, Remaining, epochs, needed_mb, picture_mb, remaining
from ksh_studio.training.preflight.dry_run import Measurements, measure_steps
from ksh_studio.training.run import EarlyEnd, Run, ended_early, set_up

FILE_BYTES = 2
"""A number in a LoRA file takes this many bytes."""


def check(config: SettledTraining, project: Project, job: Job) -> Iterator[Event]:
    """Everything of a training up to its first step: load, encode into the caches, measure, say what it will take.

    Ends with Finished, or with Stopped or Paused when the artist asked. Raises StudioError as `train` does, and when
    the disk has no room.
    """
    try:
        run = yield from set_up(config, project, job, time.monotonic())
        plan = yield from measured_plan(run)
    except EarlyEnd:
        yield ended_early(job)
        return
    values = {
        "minutes": f"{plan.seconds / 60:.1f}",
        "memory": f"{plan.memory_mb / 1e3:.1f}",
        "total": f"{plan.memory_total_mb / 1e3:.1f}",
        "disk": f"{plan.disk_mb:.0f}",
    }
    figures = {"seconds": round(plan.seconds, 1), "memory_mb": plan.memory_mb, "disk_mb": plan.disk_mb}
    yield Finished(key="preflight.checked", values=values, figures=figures)


def measured_plan(run: Run) -> Generator[Event, None, Planned]:
    """Measure two steps, say what the training will take, and refuse what the disk has no room for.

    Raises StudioError then, and when the memory is too small whatever is changed; EarlyEnd when asked to stop.
    """
    with memory_errors(run.config, run.base.device):
        measured = yield from measure_steps(run)
    plan = planned(run, measured)
    yield plan
    if plan.disk_free_mb < plan.disk_mb:
        values = {"needed": f"{plan.disk_mb:.0f}", "free": f"{plan.disk_free_mb:.0f}", "path": run.job.folder}
        raise StudioError("preflight.disk", **values)
    return plan


def planned(run: Run, measured: Measurements) -> Planned:
    """The measured figures as what is left of this training takes."""
    config, training_state = run.config, run.training_state
    left = remaining(config, training_state.step)
    lora_mb = sum(parameter.numel() for parameter in training_state.parameters.values()) * FILE_BYTES / MB
    previews_mb = len(run.previews.prompts) * picture_mb(run.base.entry.native_size)
    sizes = Counter(run.data.items[n].crop.size for n in run.trained)
    return Planned(
        drawings=len(run.trained),
        held_out=len(run.held_out),
        buckets=tuple((*size, sizes[size]) for size in sorted(sizes, key=lambda size: -size[0] * size[1])),
        steps=config.max_train_steps,
        epochs=epochs(config, len(run.trained)),
        train_batch_size=config.train_batch_size,
        split=run.back_off.split,
        gradient_checkpointing=run.back_off.checkpointing,
        seconds=_seconds(run, measured, left, lora_mb),
        memory_mb=round(measured.memory_mb, 1),
        memory_total_mb=round(total_mb(run.base.device), 1),
        disk_mb=round(needed_mb(left, lora_mb, measured.checkpoint_mb, previews_mb), 1),
        disk_free_mb=round(shutil.disk_usage(run.job.folder).free / MB, 1),
    )


def _seconds(run: Run, measured: Measurements, left: Remaining, lora_mb: float) -> float:
    """Predicted for what is left: steps, previews with their scores, validation and saves.

    The steps were measured with the largest pictures; smaller ones take as much less as they have fewer pixels. A
    validation loss takes one drawing at a time, a denoising step the prompt and the negative one. For a score the
    encoder sees each preview, and once the drawings, as the decoder gives them back; it has half the decoder's work.
    """
    areas = [run.data.items[n].crop.width * run.data.items[n].crop.height for n in run.trained]
    step = measured.step_seconds * sum(areas) / len(areas) / max(areas)
    inference_steps = run.previews.request("").num_inference_steps
    picture = measured.denoising_seconds * inference_steps + measured.decoding_seconds
    validation = len(run.held_out) * len(LEVELS) * measured.denoising_seconds / 2
    encoding = measured.decoding_seconds / 2
    scored, drawings = (
        (len(run.scoring.trigger_prompts), min(DRAWINGS, len(run.data.items))) if run.scoring.possible else (0, 0)
    )
    once = drawings * (measured.decoding_seconds + encoding)
    evaluation = len(run.previews.prompts) * picture + scored * encoding + validation
    save = (lora_mb + measured.checkpoint_mb) / SAVE_MB_PER_SECOND
    return round(left.steps * step + once + left.evaluations * evaluation + left.saves * save, 1)
