"""The training itself: a generator of events that ends in a LoRA file, or in a state from which it goes on."""

import time
from collections.abc import Generator, Iterator
from typing import TypeVar

from ksh_studio.config import SettledTraining
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Finished, Paused, Stopped
from ksh_studio.jobs.folder import Job
from ksh_studio.project.workspace import Project
from ksh_studio.training.measures.previews import end_requested
from ksh_studio.training.measures.slowdown import StepTimes
from ksh_studio.training.measures.trackers import require_tracker, tracking
from ksh_studio.training.memory.out_of_memory import memory_errors
from ksh_studio.training.plan.settle import per_step
from ksh_studio.training.preflight.check import measured_plan
from ksh_studio.training.processes.launch import launch, launched
from ksh_studio.training.run import EarlyEnd, Run, ended_early, set_up

T = TypeVar("T")


def train(config: SettledTraining, project: Project, job: Job) -> Iterator[Event]:
    """Train a LoRA on the project's drawings, or go on with the job where its newest checkpoint left it.

    Ends with Finished, or with Stopped or Paused when the artist asked; all leave a checkpoint and a LoRA file.
    Raises StudioError for everything the artist can mend; what was saved before stays. On several devices the work is
    done by a process for each, which this one starts and whose events it reads.
    """
    if config.num_processes > 1 and not launched():
        yield from launch(job, config.num_processes)
        return
    began = time.monotonic()
    require_tracker(config.report_to)
    try:
        run = yield from set_up(config, project, job, began)
        if run.training_state.step < run.config.max_train_steps:
            yield from measured_plan(run)
    except EarlyEnd:
        yield ended_early(job)
        return
    with tracking(run.config, job, run.training_state.step) as report, memory_errors(run.config, run.base.device):
        for event in _loop(run):
            yield event
            yield from report(event)


def follow(config: SettledTraining, project: Project, job: Job) -> None:
    """What the other processes of a training do: every step along with the main one, until that ends."""
    try:
        run = _quietly(set_up(config, project, job, time.monotonic()))
        if run.training_state.step < run.config.max_train_steps:
            _quietly(measured_plan(run))
    except EarlyEnd:
        return
    while run.training_state.step < run.config.max_train_steps and not run.group.agree(0):
        _quietly(run.back_off.step())


def _quietly(work: Generator[Event, None, T]) -> T:
    """What the work returns; the main process says its events."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def _loop(run: Run) -> Iterator[Event]:
    config, training_state = run.config, run.training_state
    if training_state.step % config.validation_steps == 0:  # step 0: what the base draws by itself
        yield from _evaluate(run)
    first, step_times = training_state.step, StepTimes()
    while training_state.step < config.max_train_steps and (yield from turn(run, step_times)):
        last = training_state.step == config.max_train_steps
        if last or training_state.step % config.validation_steps == 0:
            yield from _evaluate(run)
        if not last and training_state.step % config.checkpointing_steps == 0:
            yield from run.saver.save(run.previews, run.seconds)
        elif not last and run.saver.checkpoint_is_due():
            yield from _read(run, now=True)  # a checkpoint has the losses up to its step
            yield from run.saver.save_checkpoint(run.seconds)
    yield from _read(run, now=True)
    yield from run.previews.draw_requested(training_state)
    if training_state.step:
        yield from run.saver.save(run.previews, run.seconds)
    yield _ending(run, training_state.step - first, step_times)


def turn(run: Run, step_times: StepTimes) -> Generator[Event, None, bool]:
    """One step with what belongs to every step: what was asked meanwhile, the step, its losses when they are due.

    Returns False, without a step, when the artist asked to end.
    """
    config, training_state = run.config, run.training_state
    yield from run.previews.draw_requested(training_state)
    if run.group.agree(end_requested(run.job)):
        return False
    start = time.monotonic()
    value = yield from run.back_off.step()
    run.step_log.add(training_state, value, time.monotonic() - run.began)
    stops = (config.max_train_steps, config.validation_steps, config.checkpointing_steps)
    yield from _read(run, now=any(training_state.step % steps == 0 for steps in stops))
    yield from step_times.add(time.monotonic() - start)
    return True


def _evaluate(run: Run) -> Iterator[Event]:
    """Previews, their style score and validation loss of this step; what a stop leaves out is done when it goes on."""
    if not end_requested(run.job):
        yield from run.previews.draw(run.training_state)
        yield from run.scoring.measure(run.training_state)
    if not end_requested(run.job):
        yield from run.validation.measure(run.training_state)


def _read(run: Run, now: bool) -> Iterator[Event]:
    """The steps made since the last reading; a run that has diverged is saved as it last was good."""
    try:
        yield from run.step_log.due(run.training_state, now)
    except StudioError:
        yield from run.saver.save(run.previews, run.seconds)
        raise


def _ending(run: Run, steps: int, step_times: StepTimes) -> Event:
    """The last event, with what was measured."""
    training_state, config = run.training_state, run.config
    if training_state.step < config.max_train_steps:
        values = {"step": str(training_state.step), "total": str(config.max_train_steps)}
        if run.job.stop_requested():
            return Stopped.saying("train.stopped", **values)
        return Paused.saying("train.paused", **values)
    figures = {
        "seconds": round(run.seconds, 1),
        "steps": float(training_state.step),
        "images_seen": float(training_state.step * per_step(config)),
        "steps_per_second": round(steps / step_times.seconds, 3) if step_times.seconds else 0.0,
        "final_loss": round(training_state.loss_ema or 0.0, 5),
    }
    values = {"name": f"{run.saver.name}-{training_state.step:06d}.safetensors", "steps": str(training_state.step)}
    return Finished(key="train.finished", values=values, figures=figures)
