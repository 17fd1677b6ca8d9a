"""A job as the page tells it: its events, followed as they are written and kept ready for every viewer.

No gradio here. One story a job serves all viewers; each event is read once.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from ksh_studio.events import (
    Captioned,
    Event,
    Failed,
    Final,
    Finished,
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

KEPT_STORIES = 32
SPEED_STEPS = 40
"""Latest steps that tell the speed."""
SHOWN_WARNINGS = 5


@dataclass
class Story:
    """What one job's events amount to so far."""

    reader: EventReader
    started: Started | None = None
    progress: Progress | None = None
    """Work under way that is not a step; None once steps come."""
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

    def follow(self) -> "Story":
        """Take in what was written since the last look."""
        with self.reading:
            for event in self.reader.new():
                self._take(event)
        return self

    def _take(self, event: Event) -> None:
        if isinstance(event, Step):
            self.progress = None
        match event:
            case Step() | Validated() | Scored() | Preview() | LoraSaved():
                self._told(type(event)).append(event)
            case Started():
                self.started, self.progress, self.final = event, None, None
            case Progress():
                self.progress = event
            case Planned():
                self.planned = self.planned or event  # that of a resumed life is about the rest only
            case Captioned():
                self.captioned, self.progress = event, None
            case Warned():
                self.warnings = [*self.warnings, event][-SHOWN_WARNINGS:]
            case Resumed():
                self._go_back(event.step)
            case Finished() | Stopped() | Paused() | Failed():
                self.final, self.progress = event, None

    def _told(self, kind: type[Event]) -> list[Any]:
        return {
            Step: self.steps,
            Validated: self.validated,
            Scored: self.scored,
            Preview: self.previews,
            LoraSaved: self.loras,
        }[kind]

    def _go_back(self, step: int) -> None:
        """A resumed job: what its earlier life said of later steps is void."""
        for told in (self.steps, self.validated, self.scored, self.previews, self.loras):
            told[:] = [event for event in told if event.step <= step]
        self.final = None

    def judged(self) -> list[Event]:
        """What tells how good each step is, in the order in which it was said; not the steps themselves."""
        told = [*self.validated, *self.scored, *self.previews, *self.loras]
        return sorted(told, key=lambda event: event.time)

    def pace(self) -> float | None:
        """Seconds a step at the speed of the latest ones; None before there is a speed."""
        recent = self.steps[-SPEED_STEPS:]
        if len(recent) < 2 or recent[-1].seconds <= recent[0].seconds:
            return None
        return (recent[-1].seconds - recent[0].seconds) / (recent[-1].step - recent[0].step or 1)

    def remaining_seconds(self) -> float | None:
        """Time to the last step at that speed; None before there is a speed."""
        pace = self.pace()
        return None if pace is None else pace * (self.steps[-1].total - self.steps[-1].step)

    def points(self, most: int) -> list[tuple[int, float, float]]:
        """(step, mean loss, averaged loss) of at most `most` stretches of the run."""
        size = -(-len(self.steps) // most) or 1
        stretches = [self.steps[start : start + size] for start in range(0, len(self.steps), size)]
        return [(part[-1].step, sum(step.loss for step in part) / len(part), part[-1].ema_loss) for part in stretches]


class Stories:
    """The stories of the jobs that somebody is looking at, the least recently seen forgotten first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Story] = OrderedDict()
        self._lock = Lock()

    def of(self, job: Job) -> Story:
        """The job's story up to now."""
        path = str(job.events_file)
        with self._lock:
            story = self._kept.pop(path, None) or Story(EventReader(job.events_file))
            self._kept[path] = story
            while len(self._kept) > KEPT_STORIES:
                self._kept.popitem(last=False)
        return story.follow()
