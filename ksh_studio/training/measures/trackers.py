"""Reports to a tracker of the artist's own, when one was chosen; its library is imported only then."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Step, Validated

Tracker = Literal["none", "tensorboard", "wandb", "trackio"]
Report = Callable[[Event], None]


@contextmanager
def tracking(kind: Tracker, folder: Path, name: str) -> Iterator[Report]:
    """A function that reports an event, losses and learning rates of it; the tracker is closed when the block ends.

    Raises StudioError, with the line that installs it, when the tracker's library is not there.
    """
    if kind == "none":
        yield lambda event: None
        return
    try:
        log, close = _tensorboard(folder) if kind == "tensorboard" else _library(kind, name)
    except ImportError as error:
        raise StudioError("train.tracker_missing", name=kind) from error

    def report(event: Event) -> None:
        if isinstance(event, Step | Validated):
            log(_numbers(event), event.step)

    try:
        yield report
    finally:
        close()


def _library(kind: str, name: str) -> tuple[Callable[[dict[str, float], int], None], Callable[[], None]]:
    """Weights & Biases and trackio have the same three calls."""
    library = importlib.import_module(kind)
    library.init(project="ksh-studio", name=name)
    return lambda numbers, step: library.log(numbers, step=step), library.finish


def _tensorboard(folder: Path) -> tuple[Callable[[dict[str, float], int], None], Callable[[], None]]:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"))

    def log(numbers: dict[str, float], step: int) -> None:
        for name, value in numbers.items():
            writer.add_scalar(name, value, step)

    return log, writer.close


def _numbers(event: Step | Validated) -> dict[str, float]:
    if isinstance(event, Validated):
        return {"validation_loss": event.loss}
    return {"loss": event.loss, "ema_loss": event.ema_loss, "learning_rate": event.learning_rate}
