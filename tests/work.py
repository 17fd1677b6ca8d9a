"""How much a function computes, whatever else the machine does meanwhile."""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def cpu_seconds(function: Callable[[], Result]) -> tuple[Result, float]:
    """What the function returns, and the seconds of a processor that this thread needed for it.

    Time in which the thread waits, for the disk or for its turn, does not count. Limits are ten times and more what
    the work needs on a slow machine: they see work that grows with the square of its input, not a slow day.
    """
    began = time.thread_time()
    result = function()
    return result, time.thread_time() - began
