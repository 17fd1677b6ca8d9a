"""The processes that train together: every one holds the whole model and computes its share of each batch.

🤗 Accelerate and torch.distributed carry the messages (NCCL between GPUs, gloo between CPUs). A batch is drawn whole in
every process and then cut by rank, gradients are averaged before they are clipped; so N processes learn what one does
with N times the batch. One process, the main one, decides, yields the events and writes files.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ksh_studio.errors import StudioError

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

PATIENCE = timedelta(hours=12)
"""How long the others wait while the main one encodes, draws previews or saves; one that ended is noticed at once."""


@dataclass(frozen=True)
class Group:
    """The processes of one training, as seen from one of them."""

    rank: int = 0
    """0: the main process."""
    count: int = 1
    talk: "ProcessGroup | None" = None
    """For numbers that are not on the device: agreeing on one does not wait for the device."""

    @property
    def is_main(self) -> bool:
        """Whether this process decides, yields the events and writes files."""
        return self.rank == 0

    def average(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by its mean over all processes; all of one precision, sent as one. Nothing is read."""
        if self.count == 1:
            return
        from accelerate.utils import reduce

        mean = reduce(torch.cat([tensor.reshape(-1) for tensor in tensors]), reduction="mean")
        parts = mean.split([tensor.numel() for tensor in tensors])
        torch._foreach_copy_(tensors, [part.view_as(one) for part, one in zip(parts, tensors, strict=True)])

    def agree(self, value: int) -> int:
        """What the main process says; the others wait for it."""
        if self.count == 1:
            return value
        agreed = torch.tensor(value, dtype=torch.int64)
        torch.distributed.broadcast(agreed, src=0, group=self.talk)
        return int(agreed)

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """The others enter the block when the main process has left it, and find what it has put into the cache."""
        if not self.is_main:
            self.agree(0)
        yield
        if self.is_main:
            self.agree(0)

    def check(self, value: int) -> None:
        """Raise StudioError, in every process, when they do not all have the same value."""
        if self.count == 1:
            return
        ends = torch.tensor([value, -value], dtype=torch.int64)
        torch.distributed.all_reduce(ends, torch.distributed.ReduceOp.MAX, group=self.talk)
        if ends.sum() != 0:  # the largest is not the smallest
            raise StudioError("distributed.not_alike")


ALONE = Group()


def join(count: int, device: torch.device) -> Group:
    """The group of the `count` processes that the launcher started; alone where nothing was launched.

    Raises StudioError when the launcher started another number.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE
    from accelerate import PartialState

    state = PartialState(cpu=device.type == "cpu", timeout=PATIENCE)
    if state.num_processes != count:
        raise StudioError("distributed.count", asked=count, there=state.num_processes)
    return Group(state.process_index, count, torch.distributed.new_group(backend="gloo", timeout=PATIENCE))
