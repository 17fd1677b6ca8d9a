"""How long steps take, to notice when they suddenly take much longer than at the beginning (no torch).

A driver that runs out of GPU memory may go on in the computer's memory without a word, ten to fifty times slower.
"""

from collections import deque
from collections.abc import Iterator

from ksh_studio.events import Warned

WINDOW = 20
"""Steps compared: the first so many with the latest so many."""
SLOWER = 3.0


class StepTimes:
    """Seconds that the steps of one process take."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """Spent in steps, previews and saves not counted."""
        self._steps = 0
        self._first = 0.0
        """Seconds of the first steps together."""
        self._latest: deque[float] = deque(maxlen=WINDOW)
        self._warned = False

    def add(self, seconds: float) -> Iterator[Warned]:
        """One step more; a warning, once, when the latest ones take three times as long as the first.

        Of many steps together this is right also where a step returns before the device has made it.
        """
        self.seconds += seconds
        self._steps += 1
        if self._steps <= WINDOW:
            self._first += seconds
            return
        self._latest.append(seconds)
        latest = sum(self._latest)
        if len(self._latest) == WINDOW and not self._warned and latest > SLOWER * self._first:
            self._warned = True
            values = {"first": f"{self._first / WINDOW:.2g}", "now": f"{latest / WINDOW:.2g}"}
            yield Warned.saying("preflight.slow", **values)
