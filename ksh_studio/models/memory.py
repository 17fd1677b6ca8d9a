"""Memory that runs short: how to recognise that error, and how to free memory before the next try."""

import gc

import torch

_WORDS = ("out of memory", "DefaultCPUAllocator", "can't allocate memory")
"""How torch's plain RuntimeErrors say it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: torch has one class for GPUs and a plain RuntimeError for CPUs."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    message = str(error)
    return isinstance(error, RuntimeError) and any(words in message for words in _WORDS)


def free_memory(device: torch.device) -> None:
    """Return memory that nothing refers to any more to the device, before more is asked of it."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
