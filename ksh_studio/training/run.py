"""The parts of one training, loaded and put together, where its newest checkpoint left it."""

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch

from ksh_studio.config import SettledTraining
from ksh_studio.errors import StudioError
from ksh_studio.events import (
    Event,
    Paused,
    Preview,
    Progress,
    Resumed,
    Started,
    Step,
    Stopped,
    Validated,
    Warned,
)
from ksh_studio.jobs.folder import Job
from ksh_studio.jobs.status import job_events
from ksh_studio.models.device import pick_device
from ksh_studio.models.loading import Base, load_base
from ksh_studio.models.registry import base_entry
from ksh_studio.paths import inside
from ksh_studio.project.workspace import Project
from ksh_studio.training.checkpoint import Saved, clean, has_checkpoint, load_newest
from ksh_studio.training.data.cache import Cache
from ksh_studio.training.data.encode import EncodedDrawings, encode_drawings
from ksh_studio.training.data.holdout import frozen
from ksh_studio.training.data.items import load_items
from ksh_studio.training.measures.previews import Previews, end_requested, preview_prompts
from ksh_studio.training.measures.step_log import StepLog
from ksh_studio.training.measures.style_score import Scoring
from ksh_studio.training.measures.validation import Validation
from ksh_studio.training.memory.offload import offload
from ksh_studio.training.memory.out_of_memory import memory_errors
from ksh_studio.training.processes.group import Group, join
from ksh_studio.training.saving.saver import Saver, lora_stem
from ksh_studio.training.step.adapter import add_adapter, notes_of
from ksh_studio.training.step.backoff import BackOff
from ksh_studio.training.step.from_file import begin_from_file
from ksh_studio.training.step.state import TrainingState
from ksh_studio.training.step.step import Stepper


class EarlyEnd(Exception):  # noqa: N818 - no error
    """The artist's stop or pause came before the first step."""


@dataclass
class Run:
    """The parts of one training, put together."""

    config: SettledTraining
    job: Job
    base: Base
    training_state: TrainingState
    data: EncodedDrawings
    held_out: list[int]
    """Indices into the data's items that are never trained on."""
    trained: list[int]
    back_off: BackOff
    step_log: StepLog
    previews: Previews
    scoring: Scoring
    validation: Validation
    saver: Saver
    group: Group
    """The processes that train together."""
    began: float
    """When this process began with it, in monotonic seconds."""

    @property
    def seconds(self) -> float:
        """Spent on this job, also by earlier processes."""
        return self.training_state.seconds + time.monotonic() - self.began


def set_up(config: SettledTraining, project: Project, job: Job, began: float) -> Generator[Event, None, Run]:
    """Load the base, encode drawings and captions, put the LoRA on, and take up the newest checkpoint.

    `began` is in monotonic seconds. Raises EarlyEnd when the artist asks to stop, StudioError for what they can mend.
    """
    device = pick_device()
    group = join(config.num_processes, device)
    entry = base_entry(config.base_model)
    items, warnings = load_items(project, job.file.trigger, config, entry.bucket_step)
    yield Progress(phase="load", done=0, total=1)
    with memory_errors(config, device):
        base = load_base(entry, device, config.mixed_precision, config.attention)
    yield Progress(phase="load", done=1, total=1)
    stage: Literal["check", "train"] = "check" if job.file.stage == "check" else "train"
    yield Started(stage=stage, total=config.max_train_steps, device=f"{device.type}, {_precision_name(base.dtype)}")
    for warning in [*warnings, *notes_of(config)]:
        yield Warned.of(warning)
    cache = Cache(project.workspace.cache / "training")
    with memory_errors(config, device), group.main_first():
        data = yield from _stoppable(job, encode_drawings(base, items, config, cache))
    if not data.items:
        raise StudioError("train.no_drawings")
    parameters = add_adapter(base, config)
    saved = _newest(job)
    if saved is None:  # a checkpoint has weights of its own
        begin_from_file(parameters, config, project.workspace)
    training_state = TrainingState(parameters, config, base.dtype)
    offload(base)
    if config.gradient_checkpointing:
        base.unet.enable_gradient_checkpointing()
    saver = Saver(base, job, training_state, data.items, lora_stem(job, config.name))
    counters = yield from _resume(training_state, job, saver.digest, saved)
    group.check(int(saver.digest[:12], 16) + training_state.step)
    return _assembled(base, data, saver, counters, group, began)


def ended_early(job: Job) -> Stopped | Paused:
    """The last event of a job that was asked to end before its first step."""
    if job.stop_requested():
        return Stopped.saying("train.stopped_early")
    return Paused.saying("train.paused_early")


def _stoppable(job: Job, work: Generator[Event, None, EncodedDrawings]) -> Generator[Event, None, EncodedDrawings]:
    """Do the work unless the artist asks to stop; what it has put into the cache stays there."""
    while not end_requested(job):
        try:
            yield next(work)
        except StopIteration as end:
            return end.value
    work.close()
    raise EarlyEnd


def _assembled(
    base: Base, data: EncodedDrawings, saver: Saver, counters: Mapping[str, Any], group: Group, began: float
) -> Run:
    """The parts of a training whose state is restored; `counters` are those of its checkpoint, empty without one."""
    training_state, job = saver.training_state, saver.job
    config = training_state.config
    ids = [item.id for item in data.items]
    held_out = frozen(ids, config.validation_share, config.seed, counters.get("held_out", ()))
    trained = [n for n in range(len(ids)) if n not in held_out]
    if not trained:  # those that were trained on are gone
        raise StudioError("train.no_drawings")
    back_off = BackOff(partial(Stepper, base, data, training_state, trained, group))
    if "fitting" in counters:
        back_off.restore(counters["fitting"])
    saver.more_counters = lambda: {"fitting": back_off.state(), "held_out": sorted(ids[n] for n in held_out)}
    saver.items = [data.items[n] for n in trained]
    # only what still holds: `Resumed` may not have reached the file yet, where another process writes it
    events = [event for event in job_events(job) if getattr(event, "step", 0) <= training_state.step]
    previews = Previews(base, job, config, preview_prompts(config, job.project, job.file.trigger, data.items))
    previews.reported = {event.path for event in events if isinstance(event, Preview)}
    validated_steps = {event.step for event in events if isinstance(event, Validated)}
    return Run(
        config=config,
        job=job,
        base=base,
        training_state=training_state,
        data=data,
        held_out=sorted(held_out),
        trained=trained,
        back_off=back_off,
        step_log=StepLog(config, base.device),
        previews=previews,
        scoring=Scoring(data, previews, training_state),
        validation=Validation(back_off.stepper, sorted(held_out), validated_steps),
        saver=saver,
        group=group,
        began=began,
    )


def _newest(job: Job) -> Saved | None:
    """This job's newest whole checkpoint, or its parent's; None where it begins from nothing."""
    for folder in (job.checkpoints, job.loras, job.previews):
        clean(folder)
    saved, parent = load_newest(job.checkpoints), job.file.parent
    if saved is None and parent is not None:
        saved = load_newest(inside(job.project.jobs, f"{parent}/checkpoints"))
        if saved is None:
            raise StudioError("train.parent_empty", name=parent)
    return saved


def _resume(
    training_state: TrainingState, job: Job, digest: str, saved: Saved | None
) -> Generator[Event, None, dict[str, Any]]:
    """Restore the checkpoint and report it, with warnings of what has changed since.

    Returns the checkpoint's counters, empty when there is none.
    """
    if saved is None:
        # an earlier process was killed before its first checkpoint, or none is whole: its steps are void
        if any(isinstance(event, Step) for event in job_events(job)):
            yield Resumed(step=0)
        if has_checkpoint(job.checkpoints):
            yield Warned.saying("preflight.none_whole", folder=job.checkpoints)
        return {}
    for damaged in saved.damaged:
        yield Warned.saying("train.checkpoint_damaged", name=damaged, used=saved.path.name)
    training_state.restore(saved)
    if training_state.step >= training_state.config.max_train_steps and saved.path.parent != job.checkpoints:
        raise StudioError("train.parent_longer", step=training_state.step, total=training_state.config.max_train_steps)
    yield Resumed(step=training_state.step)
    if saved.state["data"] != digest:
        yield Warned.saying("train.data_changed")
    return saved.state


def _precision_name(dtype: torch.dtype) -> str:
    return {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(dtype, "fp32")
