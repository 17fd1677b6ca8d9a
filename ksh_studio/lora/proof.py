"""Proves a LoRA file by reading it back, before it is called saved."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors.torch
import torch
from peft import LoHaConfig, LoKrConfig
from peft.tuners.loha import layer as loha
from peft.tuners.lokr import layer as lokr
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from ksh_studio.lora.file.kinds import by_module
from ksh_studio.lora.file.names import kohya_name, role_of
from ksh_studio.lora.file.weights import LoraWeights, path_of
from ksh_studio.lora.on_base.attach import ADAPTER, load_adapter
from ksh_studio.lora.on_base.delta import matrix

if TYPE_CHECKING:
    from ksh_studio.models.loading import Base


def comes_back(file: Path, base: "Base", weights: LoraWeights, dtype: torch.dtype) -> bool:
    """Whether the file, read back, holds exactly what was trained, at its scale, for every module.

    lora: through diffusers' own loader, onto a copy that has the base's shape and no values: with the base frozen,
    equal matrices and equal scale are equal pictures, and an 860 M parameter UNet need not be copied at every save.
    dora: the same, and its lengths. loha and lokr: our reading of the file against the change that peft computes.
    """
    tensors = safetensors.torch.load_file(file)
    if weights.kind in ("loha", "lokr"):
        return _changes_alike(tensors, base, weights, dtype)
    lengths = {key: tensor for key, tensor in tensors.items() if role_of(key) == "dora_scale"}
    matrices = {key: tensor for key, tensor in tensors.items() if key not in lengths}
    return _loads_alike(matrices, base, weights, dtype) and _lengths_alike(lengths, weights, dtype)


def _loads_alike(tensors: dict[str, Tensor], base: "Base", weights: LoraWeights, dtype: torch.dtype) -> bool:
    unet, text_encoder = _empty_copy(base.unet), _empty_copy(base.text_encoder) if weights.text_encoder else None
    load_adapter(tensors, unet, text_encoder)
    for model, (_, state) in zip((unet, text_encoder), weights.parts(), strict=True):
        state = {key: matrix for key, matrix in state.items() if role_of(key) != "dora_scale"}
        loaded = _loaded(model) if model is not None else {}
        same = loaded.keys() == state.keys() and all(
            torch.equal(matrix, state[key].detach().to("cpu", dtype).float())
            and abs(scale - weights.lora_alpha / rank) < 1e-6
            for key, (matrix, scale, rank) in loaded.items()
        )
        if not same:
            return False
    return True


def _lengths_alike(lengths: dict[str, Tensor], weights: LoraWeights, dtype: torch.dtype) -> bool:
    """Whether every module's lengths of a dora are in the file; without dora, that there are none."""
    wanted = {
        f"{kohya_name(part, path_of(key))}.dora_scale": value.detach().to("cpu", dtype).flatten()
        for part, state in weights.parts()
        for key, value in state.items()
        if role_of(key) == "dora_scale"
    }
    return lengths.keys() == wanted.keys() and all(torch.equal(lengths[k].flatten(), wanted[k]) for k in wanted)


def _changes_alike(tensors: dict[str, Tensor], base: "Base", weights: LoraWeights, dtype: torch.dtype) -> bool:
    """Whether the file means what peft computes of the trained factors, up to the rounding of `dtype`."""
    modules, checked = by_module(tensors), 0
    for model, (part, state) in zip((base.unet, base.text_encoder), weights.parts(), strict=True):
        for path, wanted in peft_changes(model, state, weights):
            roles = modules.get(kohya_name(part, path), {})
            read = matrix(roles).reshape(wanted.shape) if roles else torch.zeros_like(wanted)
            # four factors are rounded, each by half a unit in the last place
            allowed = 4 * torch.finfo(dtype).eps * wanted.abs().max() + 1e-7
            if not roles or (read - wanted).abs().max() > allowed:
                return False
            checked += 1
    return checked == len(modules)


def peft_changes(model: nn.Module, state: dict[str, Tensor], weights: LoraWeights) -> Iterator[tuple[str, Tensor]]:
    """Module path and the change of its weight as peft computes it from these factors, in fp32 on the CPU."""
    by_path: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        by_path.setdefault(path_of(key), {})[role_of(key)] = value
    config, layers = (LoHaConfig(), loha) if weights.kind == "loha" else (LoKrConfig(), lokr)
    for path, factors in by_path.items():
        layer = model.get_submodule(path)
        inner = layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer
        kind = layers.Conv2d if isinstance(inner, nn.Conv2d) else layers.Linear
        twin = kind(_twin(inner), "default", config, r=weights.rank or 1, alpha=weights.lora_alpha)
        for role, value in factors.items():
            getattr(twin, role)["default"].data = value.detach().to("cpu", torch.float32)
        with torch.no_grad():
            yield path, twin.get_delta_weight("default")


def _twin(layer: nn.Linear | nn.Conv2d) -> nn.Module:
    """A layer of the same sizes whose weights are reserved and never written."""
    with torch.device("meta"):
        if isinstance(layer, nn.Conv2d):
            sizes = layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding
            twin: nn.Module = nn.Conv2d(*sizes, groups=layer.groups)
        else:
            twin = nn.Linear(layer.in_features, layer.out_features)
    return twin.to_empty(device="cpu")


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
