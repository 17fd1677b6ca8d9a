"""The header of a LoRA file: checked and read before any of the tensors is loaded (no torch).

A safetensors file is 8 bytes of length, that many bytes of JSON, then the tensors. The library itself checks for
overlaps and holes; what a hostile file can use to waste memory or to confuse a loader is checked here.
"""

import json
import logging
import re
import stat
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ksh_studio.errors import StudioError
from ksh_studio.locales import valid_text
from ksh_studio.lora.file.adapter_types import CORE_TENSORS, AdapterType, ModuleSizes, group_by_module, module_sizes
from ksh_studio.lora.file.names import tensor_name

logger = logging.getLogger(__name__)

HEADER_LIMIT = 10 * 2**20
"""Bytes of JSON."""
TENSOR_LIMIT = 20_000
RANK_LIMIT = 1024
SIDE_LIMIT = 10**7
"""Rows or columns of one module's change."""
_DTYPE_BYTES = {"F16": 2, "BF16": 2, "F32": 4}
_KEY = re.compile(r"[A-Za-z0-9_.]{1,250}")


@dataclass(frozen=True)
class LoraHeader:
    """What the header of a LoRA file says, and what follows from it."""

    path: Path
    metadata: dict[str, str]
    shapes: dict[str, tuple[int, ...]]
    """Shape of every tensor by its key."""

    @property
    def label(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @property
    def trigger(self) -> str:
        """The words that a prompt needs to get the style; empty when the file does not say."""
        return self.metadata.get("modelspec.trigger_phrase", "")

    @property
    def base(self) -> str:
        """The name of the base model that it was trained on; empty when the file does not say."""
        return self.metadata.get("ss_sd_model_name", "")

    @property
    def only_base(self) -> str:
        """The name of the only base model that it fits, when that model is of no known family; otherwise empty."""
        version = self.metadata.get("ss_base_model_version", "")
        return "" if not version or version.startswith(("sd_", "sdxl_")) else self.base

    @property
    def step(self) -> int | None:
        """The training step at which it was saved; None when the file does not say."""
        steps = self.metadata.get("ss_steps", "")
        return int(steps) if steps.isascii() and steps.isdigit() and len(steps) < 10 else None

    @property
    def alpha(self) -> float | None:
        """`lora_alpha` according to the metadata; None when they do not say."""
        try:
            return float(self.metadata.get("ss_network_alpha", ""))
        except ValueError:
            return None

    @property
    def hash(self) -> str:
        """First 12 hex digits of the tensors' SHA-256, as A1111 writes in `Lora hashes`; empty when not in the file."""
        return self.metadata.get("sshs_model_hash", "")[:12]

    @cached_property
    def sizes(self) -> dict[str, ModuleSizes]:
        """Adapter type and sizes of every module that it changes, by the module's kohya name."""
        return {
            module: module_sizes(shapes)
            for module, shapes in group_by_module(self.shapes).items()
            if set(shapes) != {""}
        }

    @cached_property
    def adapter_type(self) -> AdapterType:
        """The adapter type of most of its modules."""
        types = [sizes.adapter_type for sizes in self.sizes.values()]
        return max(set(types), key=types.count)

    @property
    def type_other_than_lora(self) -> AdapterType | None:
        """The adapter type of the first module that is no plain lora; None when all are."""
        return next((sizes.adapter_type for sizes in self.sizes.values() if sizes.adapter_type != "lora"), None)

    @cached_property
    def rank(self) -> int:
        """The largest rank of its modules; when no module has one, the rank in the metadata, otherwise 1."""
        ranks = [sizes.rank for sizes in self.sizes.values() if sizes.rank is not None]
        dim = self.metadata.get("ss_network_dim", "")
        return max(ranks, default=int(dim) if dim.isascii() and dim.isdigit() and len(dim) < 5 else 1)

    @property
    def module_count(self) -> int:
        """How many modules of the base it changes."""
        return len(self.sizes)

    @cached_property
    def is_sdxl(self) -> bool:
        """Whether it was made for SDXL: two text encoders, or cross-attention of width 2048."""
        wide = any("attn2_to_k" in module and sizes.columns == 2048 for module, sizes in self.sizes.items())
        return wide or any(key.startswith("lora_te2_") for key in self.shapes)


def read_header(path: Path) -> LoraHeader:
    """Read and check the header of the LoRA file at `path`, without reading the rest of the file.

    Metadata with broken characters (lone surrogates) are read with replacement characters in their place.
    Raises StudioError when it is another type of file, when its name is not UTF-8, when its header is damaged or
    hostile, or when it is no LoRA.
    """
    if valid_text(str(path)) != str(path):
        raise StudioError("lora.not_utf8", name=path.name)
    if path.suffix.lower() != ".safetensors":
        raise StudioError("lora.not_safetensors", name=path.name)
    header, data_bytes = _read_json(path)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise StudioError("lora.damaged", name=path.name)
    if len(header) > TENSOR_LIMIT:
        raise StudioError("lora.too_many", name=path.name, count=len(header), limit=TENSOR_LIMIT)
    tensors = {key: _shape_and_end(path.name, key, entry) for key, entry in header.items()}
    shapes = {key: shape for key, (shape, _) in tensors.items()}
    if max((end for _, end in tensors.values()), default=0) != data_bytes:
        raise StudioError("lora.damaged", name=path.name)
    if not any(tensor_name(key) in CORE_TENSORS for key in shapes):
        raise StudioError("lora.no_lora", name=path.name)
    _check_sizes(path.name, shapes)
    return LoraHeader(path, {valid_text(key): valid_text(value) for key, value in metadata.items()}, shapes)


def _read_json(path: Path) -> tuple[dict[str, object], int]:
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


def _shape_and_end(name: str, key: str, entry: object) -> tuple[tuple[int, ...], int]:
    """Shape of the tensor `key` and the byte where it ends, from its checked entry; `name`: the file's, for errors."""
    if not _KEY.fullmatch(key):
        raise StudioError("lora.odd_key", name=name, found=ascii(key[:60]))
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise StudioError("lora.damaged", name=name)
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in _DTYPE_BYTES:
        raise StudioError("lora.dtype", name=name, dtype=ascii(entry["dtype"])[:20])
    if not (_whole_numbers(shape) and len(shape) <= 4 and _whole_numbers(offsets) and len(offsets) == 2):
        raise StudioError("lora.damaged", name=name)
    count = 1
    for side in shape:
        count *= side
    if offsets[1] - offsets[0] != count * _DTYPE_BYTES[entry["dtype"]]:
        raise StudioError("lora.damaged", name=name)
    return tuple(shape), offsets[1]


def _whole_numbers(values: object) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value <= 2**40 for value in values)


def _check_sizes(name: str, shapes: dict[str, tuple[int, ...]]) -> None:
    """Raise StudioError unless each module's tensors fit together, with a rank and sizes within the limits."""
    for module_shapes in group_by_module(shapes).values():
        if set(module_shapes) == {""}:
            continue
        try:
            sizes = module_sizes(module_shapes)
        except (KeyError, ValueError) as error:
            raise StudioError("lora.damaged", name=name) from error
        rank = 1 if sizes.rank is None else sizes.rank
        if not 1 <= rank <= RANK_LIMIT or max(sizes.rows, sizes.columns) > SIDE_LIMIT:
            raise StudioError("lora.rank", name=name, rank=rank, limit=RANK_LIMIT)
