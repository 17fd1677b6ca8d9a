"""The JSON at the beginning of a safetensors file: read within limits, each tensor's entry checked (no torch).

A safetensors file is 8 bytes of length, that many bytes of JSON, then the tensors.
"""

import json
import re
import stat
import struct
from pathlib import Path

from ksh_studio.errors import StudioError
from ksh_studio.lora.file import number_types
from ksh_studio.lora.file.spellings import tensor_name

HEADER_LIMIT = 10 * 2**20
"""Bytes of JSON."""
KEY_LIMIT = 250
"""Characters of a tensor's name."""
_KEY = re.compile(r"[A-Za-z0-9_.]+")
_SCALES = ("scale_weight", "weight_scale")
"""How the tensors end by which weights of 8 bits must be multiplied in some files."""


def read_json(path: Path) -> tuple[dict[str, object], int]:
    """The header as parsed JSON, and the number of bytes after it."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise StudioError("lora.no_file", name=path.name)
        size = status.st_size
        with path.open("rb") as file:
            start = file.read(8)
            (length,) = struct.unpack("<Q", start) if len(start) == 8 else (0,)
            if length > HEADER_LIMIT:
                raise StudioError("lora.header_too_big", name=path.name, limit=HEADER_LIMIT // 2**20)
            header = json.loads(file.read(length), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise StudioError("lora.damaged", name=path.name) from error
    except OSError as error:
        raise StudioError("lora.unreadable", name=path.name) from error
    if not isinstance(header, dict):
        raise StudioError("lora.damaged", name=path.name)
    return header, size - 8 - length


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("duplicate keys")
    return values


def shape_and_end(name: str, key: str, entry: object) -> tuple[tuple[int, ...], int]:
    """Shape of the tensor `key` and the byte where it ends, from its checked entry; `name`: the file's, for errors."""
    tensor = tensor_name(key)
    if len(key) > KEY_LIMIT or not (_KEY.fullmatch(key) if tensor else key.isprintable()):
        raise StudioError("lora.odd_key", name=name, found=ascii(key[:60]))
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise StudioError("lora.damaged", name=name)
    shape, offsets = entry["shape"], entry["data_offsets"]
    _check_number_type(name, key, tensor, entry["dtype"])
    sides = 4 if tensor else 8
    if not (_whole_numbers(shape) and len(shape) <= sides and _whole_numbers(offsets) and len(offsets) == 2):
        raise StudioError("lora.damaged", name=name)
    count = 1
    for side in shape:
        count *= side
    if offsets[1] - offsets[0] != count * number_types.BYTES[entry["dtype"]] or (tensor == "alpha" and count != 1):
        raise StudioError("lora.damaged", name=name)
    return tuple(shape), offsets[1]


def _check_number_type(name: str, key: str, tensor: str, number_type: object) -> None:
    """Raise StudioError when a tensor of the LoRA file `name` has numbers that cannot be read.

    tensor: its name within its module; empty for one that is left out, which can have any type.
    """
    known = {"alpha": number_types.SINGLE_NUMBERS, "": number_types.BYTES}.get(tensor, number_types.WEIGHTS)
    if key.endswith(_SCALES):
        raise StudioError("lora.dtype", name=name, dtype=ascii(key.rpartition(".")[2]))
    if not isinstance(number_type, str) or number_type not in known:
        raise StudioError("lora.dtype", name=name, dtype=ascii(number_type)[:20])


def _whole_numbers(values: object) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value <= 2**40 for value in values)
