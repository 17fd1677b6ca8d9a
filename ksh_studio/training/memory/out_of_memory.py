"""Too little memory: how it is known, and how it is said, with what was needed, what is free, and what to change."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ksh_studio.config import SettledTraining
from ksh_studio.errors import StudioError
from ksh_studio.models.memory import is_out_of_memory
from ksh_studio.training.memory.measure import free_mb, held_mb, total_mb

_ASKED = re.compile(r"ried to allocate ([\d.]+) ?(bytes|KiB|MiB|GiB|KB|MB|GB)?")
"""How torch names the piece that did not fit, on a GPU and on a CPU."""
_MB = {"KiB": 2**10 / 1e6, "MiB": 2**20 / 1e6, "GiB": 2**30 / 1e6, "KB": 1e-3, "MB": 1.0, "GB": 1e3}


@contextmanager
def memory_errors(config: SettledTraining, device: torch.device) -> Iterator[None]:
    """Turn an out-of-memory error of the block into a sentence with what was needed and what there is."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise out_of_memory(config, device, error) from error


def out_of_memory(config: SettledTraining, device: torch.device, error: BaseException) -> StudioError:
    """The sentence: what was needed, as far as torch says so, what is free, and what to change."""
    allocation = _ASKED.search(str(error))
    piece = float(allocation[1]) * _MB.get(allocation[2] or "bytes", 1e-6) if allocation else 0.0
    values = {
        "batch": config.train_batch_size,
        "size": config.resolution,
        "rank": config.rank,
        "needed": f"{(held_mb(device) + piece) / 1e3:.1f}",
        "free": f"{free_mb(device) / 1e3:.1f}",
        "total": f"{total_mb(device) / 1e3:.1f}",
    }
    return StudioError("train.out_of_memory" if device.type == "cpu" else "train.out_of_gpu_memory", **values)
