"""Writes a LoRA as one file in kohya's format and proves it by reloading before it is called saved.

diffusers' own `convert_state_dict_to_kohya` writes alpha = rank and text-encoder names nobody else reads
(measured: other programs then apply 0 or twice the strength), so the few lines are ours.
"""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors.torch
import torch
from torch import Tensor, nn

from ksh_studio.disk import replacing, write_text
from ksh_studio.locales import StudioError
from ksh_studio.lora.attach import ADAPTER, load_adapter
from ksh_studio.lora.header import LoraInfo, read_header
from ksh_studio.lora.metadata import safe_stem, sidecar, with_hashes
from ksh_studio.lora.names import Part, kohya_name

if TYPE_CHECKING:
    from ksh_studio.models.loading import Base


@dataclass(frozen=True)
class LoraWeights:
    """A trained LoRA as peft holds it."""

    unet: dict[str, Tensor]
    """`<module path>.lora_A.weight` and `.lora_B.weight`, as `get_peft_model_state_dict` names them."""
    lora_alpha: float
    """The LoRA acts with lora_alpha / rank."""
    text_encoder: dict[str, Tensor] = field(default_factory=dict)
    """The same for the text encoder; empty when it was not trained."""

    def parts(self) -> tuple[tuple[Part, dict[str, Tensor]], ...]:
        """Both models' tensors."""
        return ("unet", self.unet), ("text_encoder", self.text_encoder)


def kohya_tensors(weights: LoraWeights, dtype: torch.dtype = torch.float16) -> dict[str, Tensor]:
    """The tensors of the file: for each module down [r, in, ...], up [out, r, ...] and alpha [], on the CPU."""
    tensors = {}
    for part, state in weights.parts():
        for key, tensor in state.items():
            path, _, matrix = key.removesuffix(".weight").rpartition(".")
            name = kohya_name(part, path)
            role = {"lora_A": "lora_down", "lora_B": "lora_up"}[matrix]
            tensors[f"{name}.{role}.weight"] = tensor.detach().to("cpu", dtype, copy=True).contiguous()
            tensors[f"{name}.alpha"] = torch.tensor(float(weights.lora_alpha), dtype=dtype)
    return tensors


def save_lora(
    path: Path,
    base: "Base",
    weights: LoraWeights,
    metadata: dict[str, str],
    preview: Path | None = None,
    dtype: torch.dtype = torch.float16,
) -> LoraInfo:
    """Write the file and what belongs beside it; return its header, read back from the disk.

    The file is written beside, reloaded through diffusers and compared, and only then renamed: when anything fails, an
    earlier file of this name stays. preview: a picture copied to `<stem>.png`.
    Raises StudioError when the LoRA holds values that are not finite, does not come back the same, or the disk is full.
    """
    if path.stem != safe_stem(path.stem):
        raise StudioError("lora.name", name=path.stem)
    tensors = kohya_tensors(weights, dtype)
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise StudioError("lora.not_finite", name=path.name)
    metadata = with_hashes(tensors, metadata | {"ss_output_name": path.stem})
    with replacing(path) as beside:
        safetensors.torch.save_file(tensors, beside, metadata)
        _check(beside, base, weights, dtype, path.name)
    info = read_header(path)
    content = sidecar(metadata.get("ss_base_model_version", ""), info.trigger)
    write_text(path.with_suffix(".json"), json.dumps(content, ensure_ascii=False, indent=2))
    if preview is not None:
        with replacing(path.with_suffix(".png")) as beside:
            shutil.copyfile(preview, beside)
    return info


def _check(file: Path, base: "Base", weights: LoraWeights, dtype: torch.dtype, name: str) -> None:
    """Raise StudioError unless diffusers' loader puts exactly these weights, at this scale, onto every module.

    The copy of the base that it is loaded onto has the base's shape and no values: with the base frozen, equal matrices
    and equal scale are equal pictures, and an 860 M parameter UNet need not be copied at every save.
    """
    unet, text_encoder = _empty_copy(base.unet), _empty_copy(base.text_encoder) if weights.text_encoder else None
    load_adapter(safetensors.torch.load_file(file), unet, text_encoder)
    for model, (_, state) in zip((unet, text_encoder), weights.parts(), strict=True):
        loaded = _loaded(model) if model is not None else {}
        same = loaded.keys() == state.keys() and all(
            torch.equal(matrix, state[key].detach().to("cpu", dtype).float())
            and abs(scale - weights.lora_alpha / rank) < 1e-6
            for key, (matrix, scale, rank) in loaded.items()
        )
        if not same:
            raise StudioError("lora.check_failed", name=name)


def _empty_copy(model: nn.Module) -> nn.Module:
    """A model of the same configuration whose memory is reserved but never written, so it costs next to nothing."""
    with torch.device("meta"):
        copy = (
            type(model).from_config(model.config) if hasattr(type(model), "from_config") else type(model)(model.config)
        )
    return copy.to_empty(device="cpu")


def _loaded(model: nn.Module) -> dict[str, tuple[Tensor, float, int]]:
    """Of every adapter matrix: its fp32 value, the module's scale and rank, by peft's key."""
    found = {}
    for path, layer in model.named_modules():
        if ADAPTER in getattr(layer, "scaling", {}):
            scale, rank = layer.scaling[ADAPTER], layer.r[ADAPTER]
            for matrix in ("lora_A", "lora_B"):
                weight = getattr(layer, matrix)[ADAPTER].weight
                found[f"{path}.{matrix}.weight"] = (weight.detach().float(), scale, rank)
    return found
