"""Recognises the error of running out of memory, and frees memory before the next attempt."""

import errno
import gc

import torch

PAGING_FILE_TOO_SMALL = 1455
_WORDS = ("out of memory", "DefaultCPUAllocator", "can't allocate memory")
"""How torch's plain RuntimeErrors say it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: torch has one class for GPUs and a plain RuntimeError for CPUs."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError):  # of a file that is mapped into memory; Windows has a number of its own for that
        return error.errno == errno.ENOMEM or getattr(error, "winerror", None) == PAGING_FILE_TOO_SMALL
    message = str(error)
    return isinstance(error, RuntimeError) and any(words in message for words in _WORDS)


def free_memory(device: torch.device) -> None:
    """Collect garbage, and give the memory that torch keeps but does not use back to the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
