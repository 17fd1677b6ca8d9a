"""The header of a LoRA file: checked before anything of the file is loaded, then read (no torch).

A safetensors file is 8 bytes of length, that many bytes of JSON, then the tensors. The library checks overlaps and
holes itself; it does not check what a hostile file can use to waste memory or to confuse a loader, so that is here.
"""

import json
import logging
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ksh_studio.errors import StudioError
from ksh_studio.lora.file.kinds import CORES, Kind, Measured, by_module, measure
from ksh_studio.lora.file.names import role_of

logger = logging.getLogger(__name__)

HEADER_LIMIT = 10 * 2**20
TENSOR_LIMIT = 20_000
RANK_LIMIT = 1024
DIMENSION_LIMIT = 10**7
_DTYPES = {"F16": 2, "BF16": 2, "F32": 4}
_KEY = re.compile(r"[A-Za-z0-9_.]{1,250}")


@dataclass(frozen=True)
class LoraInfo:
    """What the header of a LoRA file says."""

    path: Path
    metadata: dict[str, str]
    shapes: dict[str, tuple[int, ...]]
    """Shape of every tensor by its key."""
    bytes: int
    """Size of the file."""
    created: float
    """Unix seconds: end of training, else the file's time."""

    @property
    def label(self) -> str:
        """File name without its ending."""
        return self.path.stem

    @property
    def trigger(self) -> str:
        """The words that call the style; empty when the file does not say."""
        return self.metadata.get("modelspec.trigger_phrase", "")

    @property
    def base(self) -> str:
        """Name of the base model it was trained on; empty when the file does not say."""
        return self.metadata.get("ss_sd_model_name", "")

    @property
    def only_for(self) -> str:
        """Name of the one base model it can fit, when that is of no known family; else empty."""
        version = self.metadata.get("ss_base_model_version", "")
        return "" if not version or version.startswith(("sd_", "sdxl_")) else self.base

    @property
    def step(self) -> int | None:
        """Training step at which it was saved."""
        steps = self.metadata.get("ss_steps", "")
        return int(steps) if steps.isascii() and steps.isdigit() else None

    @property
    def alpha(self) -> float | None:
        """`lora_alpha` as the metadata says."""
        try:
            return float(self.metadata.get("ss_network_alpha", ""))
        except ValueError:
            return None

    @property
    def hash(self) -> str:
        """First 12 hex digits of the tensors' SHA-256, as A1111 writes in `Lora hashes`; empty when not in the file."""
        return self.metadata.get("sshs_model_hash", "")[:12]

    @cached_property
    def measured(self) -> dict[str, Measured]:
        """Kind and sizes of every module it changes, by the module's kohya name."""
        return {module: measure(shapes) for module, shapes in by_module(self.shapes).items() if set(shapes) != {""}}

    @cached_property
    def kind(self) -> Kind:
        """The kind that most of its modules are."""
        kinds = [measured.kind for measured in self.measured.values()]
        return max(set(kinds), key=kinds.count)

    @cached_property
    def rank(self) -> int:
        """The largest rank of its modules; where no module tells, what the metadata says, else 1."""
        ranks = [measured.rank for measured in self.measured.values() if measured.rank is not None]
        said = self.metadata.get("ss_network_dim", "")
        return max(ranks, default=int(said) if said.isascii() and said.isdigit() and len(said) < 5 else 1)

    @property
    def modules(self) -> int:
        """How many modules of the base it changes."""
        return len(self.measured)

    @cached_property
    def is_sdxl(self) -> bool:
        """Whether it was made for SDXL: two text encoders, or cross-attention of width 2048."""
        wide = any("attn2_to_k" in module and sizes.inside == 2048 for module, sizes in self.measured.items())
        return wide or any(key.startswith("lora_te2_") for key in self.shapes)

    def __iter__(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Key and shape of every tensor."""
        return iter(self.shapes.items())


def read_header(path: Path) -> LoraInfo:
    """The checked header of the LoRA file at `path`; nothing else of the file is read.

    Raises StudioError for another file type, a damaged or hostile header, or a file that is no LoRA.
    """
    if path.suffix.lower() != ".safetensors":
        raise StudioError("lora.not_safetensors", name=path.name)
    header, data_bytes = _load(path)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise StudioError("lora.damaged", name=path.name)
    if len(header) > TENSOR_LIMIT:
        raise StudioError("lora.too_many", name=path.name, count=len(header), limit=TENSOR_LIMIT)
    shapes = {key: _shape(path.name, key, entry) for key, entry in header.items()}
    if max((entry["data_offsets"][1] for entry in header.values()), default=0) != data_bytes:
        raise StudioError("lora.damaged", name=path.name)
    if not any(role_of(key) in CORES for key in shapes):
        raise StudioError("lora.no_lora", name=path.name)
    _check_sizes(path.name, shapes)
    stat = path.stat()
    return LoraInfo(path, metadata, shapes, stat.st_size, _created(metadata, stat.st_mtime))


def _load(path: Path) -> tuple[dict[str, Any], int]:
    """The header's JSON and the number of bytes after it."""
    try:
        size = path.stat().st_size
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


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate keys")
    return found


def _shape(name: str, key: str, entry: Any) -> tuple[int, ...]:
    """The tensor's shape, its entry checked."""
    if not _KEY.fullmatch(key):
        raise StudioError("lora.odd_key", name=name, found=ascii(key[:60]))
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise StudioError("lora.damaged", name=name)
    shape, offsets = entry["shape"], entry["data_offsets"]
    if entry["dtype"] not in _DTYPES:
        raise StudioError("lora.dtype", name=name, dtype=ascii(entry["dtype"])[:20])
    if not (_whole_numbers(shape) and len(shape) <= 4 and _whole_numbers(offsets) and len(offsets) == 2):
        raise StudioError("lora.damaged", name=name)
    count = 1
    for side in shape:
        count *= side
    if offsets[1] - offsets[0] != count * _DTYPES[entry["dtype"]]:
        raise StudioError("lora.damaged", name=name)
    return tuple(shape)


def _whole_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value <= 2**40 for value in values)


def _check_sizes(name: str, shapes: dict[str, tuple[int, ...]]) -> None:
    """Every module's tensors fit together, its rank and sizes are within the limits."""
    for own in by_module(shapes).values():
        if set(own) == {""}:
            continue
        try:
            measured = measure(own)
        except (KeyError, ValueError) as error:
            raise StudioError("lora.damaged", name=name) from error
        rank = 1 if measured.rank is None else measured.rank
        if not 1 <= rank <= RANK_LIMIT or max(measured.outside, measured.inside) > DIMENSION_LIMIT:
            raise StudioError("lora.rank", name=name, rank=rank, limit=RANK_LIMIT)


def _created(metadata: dict[str, str], modified: float) -> float:
    try:
        finished = float(metadata.get("ss_training_finished_at", ""))
    except ValueError:
        return modified
    return finished if 0 < finished < 1e11 else modified
