"""Reports to a tracker of the artist's own, when one was chosen, through Accelerate's; its library is imported then.

Reported are the settings, losses, learning rate, style score and preview pictures. A resumed training goes on in the
run that it began.
"""

import importlib
import importlib.util
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from ksh_studio.config import SettledTraining
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Preview, Scored, Step, Validated, Warned
from ksh_studio.generation.pictures.recipe import model_name
from ksh_studio.jobs.folder import Job
from ksh_studio.models.registry import base_entry

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

Tracker = Literal["none", "tensorboard", "wandb", "trackio"]
Report = Callable[[Event], Iterator[Event]]
PROJECT = "ksh-studio"
PATHS = ("from_lora", "name")
"""Settings that say something of this machine or its files, which are nobody else's business."""
log = logging.getLogger(__name__)


def require_tracker(name: Tracker) -> None:
    """Raise StudioError, with the line that installs it, when the tracker's library is not there."""
    if name != "none" and importlib.util.find_spec(name) is None:
        raise StudioError("train.tracker_missing", name=name)


@contextmanager
def tracking(config: SettledTraining, job: Job, first_step: int) -> Iterator[Report]:
    """A function that reports an event; the tracker's run is closed when the block ends.

    first_step: the step from which a resumed training goes on; 0 for a new one. The function yields a warning when the
    tracker fails, for example without a network: the training goes on without it.
    """
    if config.report_to == "none":
        yield lambda event: iter(())
        return
    run = _Run(config, job, first_step)
    try:
        yield run.report
    finally:
        run.finish()


class _Run:
    """The tracker's run of one training."""

    def __init__(self, config: SettledTraining, job: Job, first_step: int) -> None:
        self.config, self.job, self.first_step = config, job, first_step
        self.tracker: GeneralTracker | None = None
        self.failed = False

    def report(self, event: Event) -> Iterator[Event]:
        if self.failed:
            return
        try:
            if self.tracker is None:
                self.tracker = self._started()
            self._log(self.tracker, event)
        except Exception as error:  # noqa: BLE001 - whatever a tracker does, the training is worth more
            self.failed = True
            log.exception("the tracker failed")
            yield Warned.saying("train.tracker_failed", name=self.config.report_to, why=type(error).__name__)

    def finish(self) -> None:
        if self.tracker is not None:
            with suppress(Exception):
                self.tracker.finish()

    def _started(self) -> "GeneralTracker":
        tracker = _tracker(self.config.report_to, self.job, self.first_step)
        tracker.start()
        if not self.first_step:
            tracker.store_init_configuration(_settings(self.config))
        return tracker

    def _log(self, tracker: "GeneralTracker", event: Event) -> None:
        match event:
            case Step():
                numbers = {"loss": event.loss, "ema_loss": event.ema_loss, "learning_rate": event.learning_rate}
                tracker.log(numbers, step=event.step)
            case Validated():
                tracker.log({"validation_loss": event.loss}, step=event.step)
            case Scored():
                tracker.log({"style_score": event.score}, step=event.step)
            case Preview():
                with Image.open(self.job.project.root / event.path) as picture:
                    _log_picture(tracker, event.prompt, picture.convert("RGB"), event.step)


def _tracker(name: Tracker, job: Job, first_step: int) -> "GeneralTracker":
    """Accelerate's tracker, set up so that a resumed training goes on in the run of its job."""
    from accelerate import PartialState
    from accelerate.tracking import TensorBoardTracker, TrackioTracker, WandBTracker

    PartialState()  # the trackers' own log asks for it
    if name == "tensorboard":  # what the earlier process wrote of later steps is void
        purge_step = first_step + 1 if first_step else None
        return TensorBoardTracker("tensorboard", job.folder, purge_step=purge_step)
    if name == "wandb":
        run_id = f"{job.project.slug}-{job.id}"[-64:]
        return WandBTracker(PROJECT, name=job.id, id=run_id, resume="allow", dir=str(job.folder))
    return TrackioTracker(PROJECT, name=f"{job.project.slug}-{job.id}", resume="allow")


def _log_picture(tracker: "GeneralTracker", prompt: str, picture: Image.Image, step: int) -> None:
    """Report a preview picture under its prompt."""
    title = f"previews/{prompt[:100]}"
    if tracker.name == "tensorboard":
        tracker.log_images({title: np.asarray(picture)[None]}, step=step, dataformats="NHWC")
    elif tracker.name == "wandb":
        tracker.log_images({title: [picture]}, step=step)
    else:  # Accelerate 1.15 has no pictures for trackio
        tracker.log({title: importlib.import_module("trackio").Image(picture)}, step=step)


def _settings(config: SettledTraining) -> dict[str, bool | int | float | str]:
    """The settings as every tracker takes them, without paths of this machine."""
    values = config.model_dump(mode="json", exclude=set(PATHS))
    values["base_model"] = model_name(base_entry(config.base_model))
    return {name: value if isinstance(value, bool | int | float) else str(value) for name, value in values.items()}
