import errno

import pytest
import torch

from ksh_studio.models.memory import is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 3000 bytes."),
        RuntimeError("MPS backend out of memory (MPS allocated: 5.05 GB)"),
        RuntimeError("can't allocate memory"),
        MemoryError(),
    ],
)
def test_every_way_of_saying_it_is_recognised(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", [ValueError("out of memory"), RuntimeError("shapes do not match"), OSError(5, "x")])
def test_other_errors_are_not(error):
    assert not is_out_of_memory(error)


def test_a_file_that_finds_no_memory_is_one_too():
    assert is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory", "model.safetensors"))
    windows = OSError(22, "The paging file is too small")
    windows.winerror = 1455
    assert is_out_of_memory(windows)
    assert not is_out_of_memory(OSError(errno.ENOSPC, "No space left on device"))
