"""What goes wrong inside a step, as a sentence with numbers and a remedy."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ksh_studio.config import TrainConfig
from ksh_studio.locales import StudioError


@contextmanager
def memory_errors(config: TrainConfig, device: torch.device) -> Iterator[None]:
    """Turn an out-of-memory error of the block into a sentence with what was asked for and what there is."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(config, device) from error
    except RuntimeError as error:
        if "DefaultCPUAllocator" in str(error):  # how torch says it on a CPU
            raise _out_of_memory(config, device) from error
        raise


def _out_of_memory(config: TrainConfig, device: torch.device) -> StudioError:
    total = 0
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.empty_cache()
    values = {"batch": config.train_batch_size, "size": config.resolution, "rank": config.rank}
    if total:
        return StudioError("train.out_of_gpu_memory", total=f"{total / 1e9:.0f}", **values)
    return StudioError("train.out_of_memory", **values)
