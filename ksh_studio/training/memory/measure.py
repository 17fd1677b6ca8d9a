"""How much memory a training holds on its device, has there, and may still have; in MB of 1e6 bytes."""

import psutil
import torch

MB = 1e6


def held_mb(device: torch.device) -> float:
    """Most that this process has held since it began or since `forget_peak`; on the CPU and on Apple's GPU: holds now.

    Asks the allocator's counters only: nothing waits for the device.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / MB
    if device.type == "mps":
        return torch.mps.driver_allocated_memory() / MB
    return psutil.Process().memory_info().rss / MB


def total_mb(device: torch.device) -> float:
    """What the device has."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory / MB
    if device.type == "mps":
        return torch.mps.recommended_max_memory() / MB
    return psutil.virtual_memory().total / MB


def free_mb(device: torch.device) -> float:
    """What is free on the device, for all processes together."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] / MB
    if device.type == "mps":
        return max(0.0, total_mb(device) - held_mb(device))
    return psutil.virtual_memory().available / MB


def forget_peak(device: torch.device) -> None:
    """Begin again to measure the peak: only what is allocated from now on counts."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def wait(device: torch.device) -> None:
    """Until the device has done what it was given: for measuring, never in a step."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
