"""Writes tensors to a file, with the same errors as for any other file when the disk is full."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from ksh_studio.errors import StudioError

_OS_ERROR = re.compile(r"\(os error (\d+)\)")


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a .safetensors file.

    Raises OSError with the system's error number, for example when the disk is full: the library gives the number only
    in the text of its own error.
    """
    try:
        safetensors.torch.save_file(dict(tensors), path, metadata)
    except SafetensorError as error:
        number = _OS_ERROR.search(str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def require_free(*paths: Path) -> None:
    """Raise StudioError when one of the files exists: it may be the artist's, or one of those that are read."""
    for path in paths:
        if path.exists():
            raise StudioError("merge.exists", path=path)
