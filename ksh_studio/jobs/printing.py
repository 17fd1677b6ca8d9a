"""Events on a terminal, a line each; what would only scroll by is left out."""

import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from ksh_studio.events import (
    Captioned,
    Checkpoint,
    Event,
    Failed,
    Heartbeat,
    Imported,
    Picture,
    Preview,
    Progress,
    Step,
    Validated,
    Warned,
)
from ksh_studio.jobs.describe import describe, files_to_look_at, progress_text
from ksh_studio.jobs.figures import duration
from ksh_studio.jobs.pace import Pace
from ksh_studio.locales import Language, translate

STEP_LINES = 20
"""Steps of a training that are printed, evenly spread."""
PROGRESS_SECONDS = 2.0
"""Between two lines about how far an import or export is."""


def print_any_letter() -> None:
    """Let this process print paths in any script: a terminal that lacks a letter gets a question mark, not an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")


def print_events(events: Iterator[Event], language: Language) -> int:
    """Print events as they come, failures and warnings to stderr; the exit code is 1 when the last one is a failure.

    The work goes on to its end when the terminal is closed meanwhile: an error of printing must not cost what was made.
    """
    last: Event | None = None
    progress = _ProgressLines(language)
    for last in events:
        text = progress.line(last) if isinstance(last, Progress) else terminal_lines(last, language)
        if text is not None:
            _print(text, sys.stderr if isinstance(last, Failed | Warned) else sys.stdout)
    return 1 if isinstance(last, Failed) else 0


def _print(text: str, stream: TextIO) -> None:
    try:
        print(text, flush=True, file=stream)
    except OSError:  # the terminal is gone, or the program that read the lines has ended
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # also for what is still in the buffer and for what libraries print
        os.close(nowhere)


class _ProgressLines:
    """What is printed of an import's or export's progress: a line now and then, with the time that is left."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self.pace = Pace()
        self.printed = 0.0

    def line(self, event: Progress) -> str | None:
        """The line for this event; None when the last one was just printed, or for other kinds of progress."""
        if event.phase == "wait":
            return describe(event, self.language)
        self.pace.take(event)
        if event.phase not in ("import", "export") or event.time - self.printed < PROGRESS_SECONDS:
            return None
        self.printed = event.time
        return "  " + progress_text(event, self.pace.seconds_left(), self.language)


def terminal_lines(event: Event, language: Language) -> str | None:
    """The event as it is printed; None for what a terminal leaves out: heartbeats, progress and most steps."""
    text = describe(event, language)
    match event:
        case Heartbeat() | Progress():
            return None
        case Step():
            if event.step % max(1, event.total // STEP_LINES) and event.step != event.total:
                return None
            time = duration(event.seconds, language)
            return "  " + translate("cli.step", language, step=text, rate=f"{event.learning_rate:.4g}", time=time)
        case Imported():
            return "\n  ".join([text, *files_to_look_at(event, language)])
        case Captioned() | Validated() | Preview() | Checkpoint() | Picture():
            return f"  {text}"
    return text
