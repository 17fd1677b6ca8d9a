"""The header of a LoRA file: checked and read before any of the tensors is loaded (no torch).

A safetensors file is 8 bytes of length, that many bytes of JSON, then the tensors. The library itself checks for
overlaps and holes; what a hostile file can use to waste memory or to confuse a loader is checked here.
"""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ksh_studio.errors import StudioError
from ksh_studio.locales import valid_text
from ksh_studio.lora.file.adapter_settings import saved_alphas, saved_settings
from ksh_studio.lora.file.adapter_types import (
    CORE_TENSORS,
    AdapterType,
    ModuleSizes,
    Shape,
    factor_groups,
    module_sizes,
)
from ksh_studio.lora.file.json_header import read_json, shape_and_end
from ksh_studio.lora.file.spellings import module_name, tensor_name

logger = logging.getLogger(__name__)

TENSOR_LIMIT = 20_000
RANK_LIMIT = 1024
SIDE_LIMIT = 10**7
"""Rows or columns of one module's change."""
_WHOLE_MODEL = ("model.diffusion_model.", "first_stage_model.", "cond_stage_model.")
_OTHER_METHODS = {
    ".oft_blocks.": "OFT or BOFT",
    ".oft_diag.": "OFT",
    ".oft_R.": "OFT",
    ".boft_R.": "BOFT",
    ".a1.": "GLoRA",
    ".on_input.": "IA3",
    ".ia3_l.": "IA3",
    ".w_norm.": "a change of norms only",
    ".string_to_param.": "a textual inversion embedding",
    ".clip_l.": "a textual inversion embedding",
}
"""What a tensor's name tells about a file that holds no LoRA."""


@dataclass(frozen=True)
class LoraHeader:
    """What the header of a LoRA file says, and what follows from it."""

    path: Path
    metadata: dict[str, str]
    shapes: dict[str, Shape]
    """Shape of every tensor by its key, of those too that are left out."""

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
    def modules(self) -> dict[str, dict[str, Shape]]:
        """The shapes of the tensors of every module that it changes, by the module's kohya name and the tensor's."""
        return factor_groups(self.shapes)

    @cached_property
    def left_out(self) -> tuple[str, ...]:
        """The keys of the tensors that belong to no module of a LoRA, such as an embedding that is in the file too."""
        return tuple(key for key in self.shapes if not tensor_name(key) or module_name(key) not in self.modules)

    @cached_property
    def sizes(self) -> dict[str, ModuleSizes]:
        """Adapter type and sizes of every module that it changes, by the module's kohya name."""
        return {module: module_sizes(shapes) for module, shapes in self.modules.items()}

    @cached_property
    def saved_alphas(self) -> dict[str, float]:
        """The alphas that are not among the tensors but in peft's settings, by the module's kohya name."""
        settings = saved_settings(self.path, self.metadata)
        ranks = {module: sizes.rank for module, sizes in self.sizes.items() if sizes.rank is not None}
        return saved_alphas(settings, ranks, self.shapes) if settings else {}

    @cached_property
    def adapter_type(self) -> AdapterType:
        """The adapter type of most of its modules."""
        types = [sizes.adapter_type for sizes in self.sizes.values()]
        return max(set(types), key=types.count)

    @property
    def type_other_than_lora(self) -> AdapterType | None:
        """The adapter type of the first module that is no plain lora; None when all are."""
        return next((sizes.adapter_type for sizes in self.sizes.values() if sizes.adapter_type != "lora"), None)

    @property
    def is_plain(self) -> bool:
        """Whether every module is a product of two matrices, which is what diffusers loads."""
        return self.type_other_than_lora is None and not any("lora_mid" in shapes for shapes in self.modules.values())

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
    header, data_bytes = read_json(path)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise StudioError("lora.damaged", name=path.name)
    if len(header) > TENSOR_LIMIT:
        raise StudioError("lora.too_many", name=path.name, count=len(header), limit=TENSOR_LIMIT)
    tensors = {key: shape_and_end(path.name, key, entry) for key, entry in header.items()}
    shapes = {key: shape for key, (shape, _) in tensors.items()}
    if max((end for _, end in tensors.values()), default=0) != data_bytes:
        raise StudioError("lora.damaged", name=path.name)
    if not any(tensor_name(key) in CORE_TENSORS for key in shapes):
        raise _no_lora(path.name, shapes)
    lora_header = LoraHeader(path, {valid_text(key): valid_text(value) for key, value in metadata.items()}, shapes)
    _check_sizes(path.name, lora_header)
    return lora_header


def _no_lora(name: str, shapes: dict[str, Shape]) -> StudioError:
    """The error for a file without a tensor of a LoRA; it says what the file is where that can be told."""
    if any(key.startswith(_WHOLE_MODEL) for key in shapes):
        return StudioError("lora.whole_model", name=name)
    for part, method in _OTHER_METHODS.items():
        if any(part in f"{key}." for key in shapes):
            return StudioError("lora.other_method", name=name, method=method)
    return StudioError("lora.no_lora", name=name)


def _check_sizes(name: str, header: LoraHeader) -> None:
    """Raise StudioError unless each module's tensors fit together, with a rank and sizes within the limits."""
    try:
        all_sizes = header.sizes
    except (KeyError, ValueError) as error:
        raise StudioError("lora.damaged", name=name) from error
    for sizes in all_sizes.values():
        rank = 1 if sizes.rank is None else sizes.rank
        if not 1 <= rank <= RANK_LIMIT or max(sizes.rows, sizes.columns) > SIDE_LIMIT:
            raise StudioError("lora.rank", name=name, rank=rank, limit=RANK_LIMIT)
