"""Memory that is short: how an error says so, and how memory is freed before it is asked for again."""

import gc

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short: torch has one class for GPUs and a plain RuntimeError for CPUs."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and ("out of memory" in said or "DefaultCPUAllocator" in said)


def let_go(device: torch.device) -> None:
    """Give what nothing refers to any more back to the device, before it is asked again."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
