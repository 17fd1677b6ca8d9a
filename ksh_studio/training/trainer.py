"""The training itself: a generator of events that ends in a LoRA file, or in a state from which it goes on."""

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch

from ksh_studio import jobs
from ksh_studio.config import TrainConfig
from ksh_studio.events import Event, Finished, Progress, Resumed, Started, Step, Stopped, Validated, Warned, warned
from ksh_studio.jobs import Job
from ksh_studio.locales import StudioError
from ksh_studio.lora.metadata import safe_stem
from ksh_studio.models.device import pick_device
from ksh_studio.models.loading import Base, load_base
from ksh_studio.models.registry import base_entry
from ksh_studio.training.adapter import add_adapter
from ksh_studio.training.cache import Cache
from ksh_studio.training.checkpoint import clean, load_newest
from ksh_studio.training.dataset import load_items
from ksh_studio.training.errors import memory_errors
from ksh_studio.training.parking import park
from ksh_studio.training.plan import settled
from ksh_studio.training.prepare import Prepared, prepare
from ksh_studio.training.previews import Previews, preview_prompts
from ksh_studio.training.readings import Readings
from ksh_studio.training.sampler import held_out
from ksh_studio.training.saving import Saver
from ksh_studio.training.session import Session
from ksh_studio.training.step import Stepper
from ksh_studio.training.tracking import tracking
from ksh_studio.training.validation import Validation
from ksh_studio.workspace import Project


class _EarlyStop(Exception):  # noqa: N818 - no error
    """The artist's stop came before the first step."""


@dataclass
class Run:
    """The parts of one training, put together."""

    config: TrainConfig
    job: Job
    base: Base
    session: Session
    stepper: Stepper
    readings: Readings
    previews: Previews
    validation: Validation
    saver: Saver
    began: float
    """Monotonic seconds."""

    @property
    def seconds(self) -> float:
        """Worked on this job, earlier lives included."""
        return self.session.seconds + time.monotonic() - self.began


def train(config: TrainConfig, project: Project, job: Job) -> Iterator[Event]:
    """Train a LoRA on the project's drawings, or go on with the job where its newest checkpoint left it.

    Ends with Finished, or with Stopped after `job.stop_requested()`; both leave a checkpoint and a LoRA file.
    Raises StudioError for everything the artist can mend; what was saved before stays.
    """
    began = time.monotonic()
    with tracking(config.report_to, job.folder, job.id) as report:
        try:
            run = yield from _set_up(config, project, job, began)
        except _EarlyStop:
            yield Stopped(key="train.stopped_early")
            return
        with memory_errors(run.config, run.base.device):
            for event in _loop(run):
                report(event)
                yield event


def _loop(run: Run) -> Iterator[Event]:
    config, session, job = run.config, run.session, run.job
    if session.step % config.validation_steps == 0:  # step 0: what the base draws by itself
        yield from _look(run)
    first, stepping, stopped = session.step, 0.0, False
    while session.step < config.max_train_steps and not (stopped := job.stop_requested()):
        start = time.monotonic()
        run.readings.add(session, run.stepper(), time.monotonic() - run.began)
        last = session.step == config.max_train_steps
        preview, save = session.step % config.validation_steps == 0, session.step % config.checkpointing_steps == 0
        yield from _read(run, now=last or preview or save)
        stepping += time.monotonic() - start
        if preview or last:
            yield from _look(run)
        if save and not last:
            yield from run.saver.save(run.previews, run.seconds)
    yield from _read(run, now=True)
    if session.step:
        yield from run.saver.save(run.previews, run.seconds)
    yield _ending(run, stopped and session.step < config.max_train_steps, session.step - first, stepping)


def _look(run: Run) -> Iterator[Event]:
    """Previews and validation loss of this step; what a stop leaves out is done when the job goes on."""
    if not run.job.stop_requested():
        yield from run.previews.draw(run.session)
    if not run.job.stop_requested():
        yield from run.validation.measure(run.session)


def _read(run: Run, now: bool) -> Iterator[Event]:
    """The steps made since the last reading; a run that has diverged is saved as it last was good."""
    try:
        yield from run.readings.due(run.session, now)
    except StudioError:
        yield from run.saver.save(run.previews, run.seconds)
        raise


def _ending(run: Run, stopped: bool, steps: int, stepping: float) -> Event:
    """The last event, with what was measured."""
    session, config = run.session, run.config
    if stopped:
        return Stopped(key="train.stopped", values={"step": str(session.step), "total": str(config.max_train_steps)})
    figures = {
        "seconds": round(run.seconds, 1),
        "steps": float(session.step),
        "images_seen": float(session.step * config.train_batch_size * config.gradient_accumulation_steps),
        "steps_per_second": round(steps / stepping, 3) if stepping else 0.0,
        "final_loss": round(session.loss_ema or 0.0, 5),
    }
    values = {"name": f"{run.saver.name}-{session.step:06d}.safetensors", "steps": str(session.step)}
    return Finished(key="train.finished", values=values, figures=figures)


def _set_up(config: TrainConfig, project: Project, job: Job, began: float) -> Generator[Event, None, Run]:
    """Load the base, encode drawings and captions, put the LoRA on, and take up the newest checkpoint."""
    device = pick_device()
    config = settled(config, project, device.type)
    entry = base_entry(config.base_model)
    items, warnings = load_items(project, job.file.trigger, config, entry.bucket_step)
    yield Progress(phase="load", done=0, total=1)
    base = load_base(entry, device, config.mixed_precision, config.attention)
    yield Progress(phase="load", done=1, total=1)
    yield Started(stage="train", total=config.max_train_steps, device=f"{device.type}, {_spoken(base.dtype)}")
    for warning in warnings:
        yield warned(warning)
    with memory_errors(config, device):
        data = yield from _stoppable(job, prepare(base, items, config, Cache(project.workspace.cache / "training")))
    if not data.items:
        raise StudioError("train.no_drawings")
    session = Session(add_adapter(base, config), config, base.dtype)
    park(base)
    if config.gradient_checkpointing:
        base.unet.enable_gradient_checkpointing()
    name = safe_stem(config.name or project.slug)
    saver = Saver(base, job, session, data.items, name)
    yield from _resume(session, job, saver.digest)
    prompts = preview_prompts(config, project, job.file.trigger, data.items)
    return _assembled(config, job, base, data, (session, saver, Previews(base, job, config, prompts), began))


def _stoppable(job: Job, work: Generator[Event, None, Prepared]) -> Generator[Event, None, Prepared]:
    """The same work, ended by the artist's stop; what it has put into the cache stays there."""
    while not job.stop_requested():
        try:
            yield next(work)
        except StopIteration as end:
            return end.value
    work.close()
    raise _EarlyStop


def _assembled(
    config: TrainConfig, job: Job, base: Base, data: Prepared, parts: tuple[Session, Saver, Previews, float]
) -> Run:
    session, saver, previews, began = parts
    aside = held_out(len(data.items), config.validation_share, config.seed)
    stepper = Stepper(base, data, session, [n for n in range(len(data.items)) if n not in aside])
    told = {event.step for event in jobs.events(job) if isinstance(event, Validated)}
    validation, readings = Validation(stepper, sorted(aside), told), Readings(config)
    return Run(config, job, base, session, stepper, readings, previews, validation, saver, began)


def _resume(session: Session, job: Job, digest: str) -> Iterator[Event]:
    """Take up this job's newest whole checkpoint, or its parent's; say so, and what is not as it was."""
    clean(job.checkpoints)
    lived = any(isinstance(event, Step) for event in jobs.events(job))
    saved, parent = load_newest(job.checkpoints), job.file.parent
    if saved is None and parent is not None:
        saved = load_newest(job.folder.parent / parent / "checkpoints")
        if saved is None:
            raise StudioError("train.parent_empty", name=parent)
    if saved is None:
        if lived:  # killed before its first checkpoint: its points are void
            yield Resumed(step=0)
        return
    for damaged in saved.damaged:
        yield Warned(key="train.checkpoint_damaged", values={"name": damaged, "used": saved.path.name})
    session.restore(saved)
    if session.step >= session.config.max_train_steps and saved.path.parent != job.checkpoints:
        raise StudioError("train.parent_longer", step=session.step, total=session.config.max_train_steps)
    yield Resumed(step=session.step)
    if saved.state["data"] != digest:
        yield Warned(key="train.data_changed", values={})


def _spoken(dtype: torch.dtype) -> str:
    return {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(dtype, "fp32")
