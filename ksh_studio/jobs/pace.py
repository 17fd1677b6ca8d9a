"""How long counted work still takes, from the latest events that counted it."""

from collections import deque
from dataclasses import dataclass, field

from ksh_studio.events import Progress

LATEST_EVENTS = 30
"""Progress events from which the pace is computed: what is known already goes fast, and says nothing of the rest."""


@dataclass
class Pace:
    """The latest progress of one phase of a job."""

    latest: deque[Progress] = field(default_factory=lambda: deque(maxlen=LATEST_EVENTS))

    def take(self, event: Progress) -> None:
        """Count this event; another phase, or the same one from its beginning, starts a new pace."""
        if self.latest and (event.phase != self.latest[-1].phase or event.done < self.latest[-1].done):
            self.latest.clear()
        self.latest.append(event)

    def seconds_left(self) -> float | None:
        """Time to the end of the phase; None before there is a pace."""
        if len(self.latest) < 2:
            return None
        first, last = self.latest[0], self.latest[-1]
        if last.done == first.done or last.time <= first.time:
            return None
        return (last.time - first.time) / (last.done - first.done) * (last.total - last.done)
