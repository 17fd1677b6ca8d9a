"""How many numbers a LoRA has, known from the shapes in the base model's files before anything is loaded (no torch)."""

import math
from pathlib import Path

from ksh_studio.config import SettledTraining
from ksh_studio.errors import StudioError
from ksh_studio.lora.file.names import UNET_TARGETS
from ksh_studio.models.files import check_safetensors, needs_download
from ksh_studio.models.registry import BaseEntry

SD15_PER_RANK = {"attention": 199_296, "transformer": 423_936, "all": 1_050_816}
"""Numbers of a LoRA of rank 1 on Stable Diffusion 1.5's UNet; for models whose files are not here or are one file."""
CHECKPOINT_COPIES = 4
"""The weights, their average, and AdamW's two, all in fp32."""


def lora_numbers(config: SettledTraining, entry: BaseEntry) -> int:
    """Numbers in the LoRA of a settled training; for kinds other than plain LoRA about so many."""
    shapes = _shapes(entry)
    targets = UNET_TARGETS[config.target_modules]
    target_shapes = [
        shape for path, shape in shapes.items() if any(path == one or path.endswith(f".{one}") for one in targets)
    ]
    per_rank = sum(shape[0] + _inputs(shape) for shape in target_shapes) or SD15_PER_RANK[config.target_modules]
    return per_rank * config.rank * (2 if config.adapter == "loha" else 1)


def _inputs(shape: list[int]) -> int:
    """Numbers that one output reads, in a linear layer [out, in] or a convolution [out, in, height, width]."""
    return math.prod(shape[1:])


def _shapes(entry: BaseEntry) -> dict[str, list[int]]:
    """The shape of each UNet layer's weight by the layer's path; empty where the files are not here."""
    folder = _unet_folder(entry)
    shapes: dict[str, list[int]] = {}
    for path in folder.glob("*.safetensors") if folder else ():
        try:
            header = check_safetensors(path)
        except StudioError:  # said when it is loaded
            continue
        for name, tensor in header.items():
            if name.endswith(".weight"):
                shapes[name.removesuffix(".weight")] = tensor["shape"]
    return shapes


def _unet_folder(entry: BaseEntry) -> Path | None:
    if entry.source_type == "folder":
        return Path(entry.source) / "unet"
    if entry.source_type == "file" or needs_download(entry):
        return None
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(entry.source, "unet/config.json", revision=entry.revision)
    return Path(str(config)).parent
