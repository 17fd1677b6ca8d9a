"""What a job's events amount to so far, followed as they are written and kept ready for every viewer.

One history of a job serves all viewers, so each event is read once.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

from ksh_studio.events import (
    Captioned,
    Event,
    Failed,
    Final,
    Finished,
    Imported,
    LoraSaved,
    Paused,
    Planned,
    Preview,
    Progress,
    Resumed,
    Scored,
    Started,
    Step,
    Stopped,
    Validated,
    Warned,
)
from ksh_studio.jobs.folder import Job
from ksh_studio.jobs.journal import EventReader
from ksh_studio.jobs.pace import Pace

KEPT_HISTORIES = 32
SPEED_STEPS = 40
"""Latest steps from which the speed is computed."""
KEPT_WARNINGS = 5

StepEvent = TypeVar("StepEvent", Step, Validated, Scored, Preview, LoraSaved)


@dataclass
class JobHistory:
    """What one job's events amount to so far."""

    reader: EventReader
    started: Started | None = None
    progress: Progress | None = None
    """Work under way that is not a step; None once steps come."""
    pace: Pace = field(default_factory=Pace)
    """Of that work."""
    imported: Imported | None = None
    steps: list[Step] = field(default_factory=list)
    planned: Planned | None = None
    validated: list[Validated] = field(default_factory=list)
    scored: list[Scored] = field(default_factory=list)
    captioned: Captioned | None = None
    previews: list[Preview] = field(default_factory=list)
    loras: list[LoraSaved] = field(default_factory=list)
    warnings: list[Warned] = field(default_factory=list)
    final: Final | None = None
    reading: Lock = field(default_factory=Lock)

    def follow(self) -> "JobHistory":
        """Take in the events written since the last call."""
        with self.reading:
            for event in self.reader.new():
                self._take(event)
        return self

    def _take(self, event: Event) -> None:
        match event:
            case Step() | Validated() | Scored() | Preview() | LoraSaved():
                self._append(event)
            case Started():
                self.started, self.progress, self.final = event, None, None
            case Progress():
                self.progress = event
                self.pace.take(event)
            case Imported():
                self.imported = event
            case Planned():
                self.planned = self.planned or event  # that of a resumed run is about the rest only
            case Captioned():
                self.captioned, self.progress = event, None
            case Warned():
                self.warnings = [*self.warnings, event][-KEPT_WARNINGS:]
            case Resumed():
                self._go_back(event.step)
            case Finished() | Stopped() | Paused() | Failed():
                self.final, self.progress = event, None

    def _append(self, event: Step | Validated | Scored | Preview | LoraSaved) -> None:
        """Keep an event that belongs to a step."""
        match event:
            case Step():
                self.steps.append(event)
                self.progress = None
            case Validated():
                self.validated.append(event)
            case Scored():
                self.scored.append(event)
            case Preview():
                self.previews.append(event)
            case LoraSaved():
                self.loras.append(event)

    def _go_back(self, step: int) -> None:
        """The job was resumed at `step`: drop what was written about later steps before that."""
        self.steps = _up_to(step, self.steps)
        self.validated = _up_to(step, self.validated)
        self.scored = _up_to(step, self.scored)
        self.previews = _up_to(step, self.previews)
        self.loras = _up_to(step, self.loras)
        self.final = None

    def measurements(self) -> list[Event]:
        """What shows how good each step is, in the order in which it was written; not the steps themselves."""
        events: list[Event] = [*self.validated, *self.scored, *self.previews, *self.loras]
        return sorted(events, key=lambda event: event.time)

    def seconds_per_step(self) -> float | None:
        """At the speed of the latest steps; None before there is a speed."""
        recent = self.steps[-SPEED_STEPS:]
        if len(recent) < 2 or recent[-1].seconds <= recent[0].seconds:
            return None
        return (recent[-1].seconds - recent[0].seconds) / (recent[-1].step - recent[0].step or 1)

    def remaining_seconds(self) -> float | None:
        """Time to the last step at that speed; None before there is a speed."""
        pace = self.seconds_per_step()
        return None if pace is None else pace * (self.steps[-1].total - self.steps[-1].step)

    def points(self, most: int) -> list[tuple[int, float, float]]:
        """(step, mean loss, averaged loss) of at most `most` stretches of the run."""
        size = -(-len(self.steps) // most) or 1
        stretches = [self.steps[start : start + size] for start in range(0, len(self.steps), size)]
        return [(part[-1].step, sum(step.loss for step in part) / len(part), part[-1].ema_loss) for part in stretches]


def _up_to(step: int, events: Iterable[StepEvent]) -> list[StepEvent]:
    return [event for event in events if event.step <= step]


class JobHistories:
    """The histories of the jobs that somebody is looking at; the least recently seen is forgotten first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, JobHistory] = OrderedDict()
        self._lock = Lock()

    def of(self, job: Job) -> JobHistory:
        """The job's history up to now."""
        path = str(job.events_file)
        with self._lock:
            history = self._kept.pop(path, None) or JobHistory(EventReader(job.events_file))
            self._kept[path] = history
            while len(self._kept) > KEPT_HISTORIES:
                self._kept.popitem(last=False)
        return history.follow()
