"""Writing tensors: the system's errors keep their numbers, and nothing that exists is written over."""

import errno

import pytest
import torch

from ksh_studio.errors import StudioError
from ksh_studio.lora.file.tensors import require_free, save_tensors


def test_a_folder_that_is_not_there_is_an_error_with_the_systems_number(tmp_path):
    with pytest.raises(OSError) as caught:
        save_tensors(tmp_path / "missing" / "a.safetensors", {"a": torch.ones(1)})
    assert caught.value.errno == errno.ENOENT


def test_a_file_that_exists_is_named(tmp_path):
    (tmp_path / "taken.json").touch()
    require_free(tmp_path / "a.safetensors")
    with pytest.raises(StudioError, match=r"taken\.json"):
        require_free(tmp_path / "a.safetensors", tmp_path / "taken.json")
