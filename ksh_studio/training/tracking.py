"""Reports to a tracker of the artist's own, when one was chosen; its library is imported only then."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from ksh_studio.events import Step, Validated
from ksh_studio.locales import StudioError

Tracker = Literal["none", "tensorboard", "wandb", "trackio"]
Report = Callable[[Step | Validated], None]


def open_tracker(kind: Tracker, folder: Path, name: str) -> tuple[Report, Callable[[], None]]:
    """A function that reports one event, and one that closes the tracker.

    Raises StudioError, with the line that installs it, when the tracker's library is not there.
    """
    if kind == "none":
        return lambda event: None, lambda: None
    try:
        if kind == "tensorboard":
            return _tensorboard(folder)
        import importlib

        library = importlib.import_module(kind)
    except ImportError as error:
        raise StudioError("train.tracker_missing", name=kind) from error
    library.init(project="ksh-studio", name=name)
    return lambda event: library.log(_numbers(event), step=event.step), library.finish


def _tensorboard(folder: Path) -> tuple[Report, Callable[[], None]]:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"))

    def report(event: Step | Validated) -> None:
        for name, value in _numbers(event).items():
            writer.add_scalar(name, value, event.step)

    return report, writer.close


def _numbers(event: Step | Validated) -> dict[str, float]:
    if isinstance(event, Validated):
        return {"validation_loss": event.loss}
    return {"loss": event.loss, "ema_loss": event.ema_loss, "learning_rate": event.learning_rate}
