"""Tensors to a file, with the system's own error when the disk does not take them."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from ksh_studio.errors import StudioError

_NUMBER = re.compile(r"\(os error (\d+)\)")


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a .safetensors file.

    Raises OSError with its number when the system refuses, a full disk for one: the library says it in its text only.
    """
    try:
        safetensors.torch.save_file(dict(tensors), path, metadata)
    except SafetensorError as error:
        number = _NUMBER.search(str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def require_free(*paths: Path) -> None:
    """Raises StudioError where one of the files is there: it may be an artist's, or one of those that are read."""
    for path in paths:
        if path.exists():
            raise StudioError("merge.exists", path=path)
