"""Work on many things together, or on fewer at a time where memory is short."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from ksh_studio.models.memory import free_memory, is_out_of_memory

T = TypeVar("T")


def in_halves(work: Callable[[list[T]], list[Tensor]], things: list[T], device: torch.device) -> list[Tensor]:
    """`work` on all things at once; where memory is short on one half after the other, down to single ones."""
    try:
        return work(things)
    except (RuntimeError, MemoryError) as error:
        if len(things) == 1 or not is_out_of_memory(error):
            raise
    free_memory(device)
    middle = len(things) // 2
    return in_halves(work, things[:middle], device) + in_halves(work, things[middle:], device)
