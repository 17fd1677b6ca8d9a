"""Proves that a saved LoRA file holds what was trained, by reading it back."""

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

from ksh_studio.lora.file.adapter_types import group_by_module
from ksh_studio.lora.file.names import kohya_name
from ksh_studio.lora.file.spellings import tensor_name
from ksh_studio.lora.file.weights import LoraWeights, module_path
from ksh_studio.lora.on_base.delta import delta_matrix

ADAPTER = "file"
"""The name under which diffusers loads the file that is compared."""

if TYPE_CHECKING:
    from ksh_studio.models.loading import Base


def file_matches(path: Path, base: "Base", weights: LoraWeights, dtype: torch.dtype) -> bool:
    """Whether the file, read back, holds the trained weights of every module at the right scale.

    dtype: the data type of the tensors in the file. A lora is loaded by diffusers onto a copy of the base's layers
    without values: since the base is frozen, equal matrices and an equal scale make equal pictures, and no UNet of
    860 M parameters need be copied at every save. For dora the magnitudes are compared too. For loha and lokr the delta
    that we compute from the file is compared with the one that peft computes from the trained factors.
    """
    tensors = safetensors.torch.load_file(path)
    if weights.adapter_type in ("loha", "lokr"):
        return _deltas_match(tensors, base, weights, dtype)
    magnitudes = {key: tensor for key, tensor in tensors.items() if tensor_name(key) == "dora_scale"}
    matrices = {key: tensor for key, tensor in tensors.items() if key not in magnitudes}
    return _matrices_equal(matrices, base, weights, dtype) and _magnitudes_equal(magnitudes, weights, dtype)


def _matrices_equal(tensors: dict[str, Tensor], base: "Base", weights: LoraWeights, dtype: torch.dtype) -> bool:
    """Whether diffusers loads exactly the trained matrices from the file's tensors, each with the right scale."""
    unet, text_encoder = _empty_copy(base.unet), _empty_copy(base.text_encoder) if weights.text_encoder else None
    _load_with_diffusers(tensors, unet, text_encoder)
    for model, (_, state) in zip((unet, text_encoder), weights.components(), strict=True):
        trained = {key: matrix for key, matrix in state.items() if tensor_name(key) != "dora_scale"}
        loaded = _loaded_matrices(model) if model is not None else {}
        same = loaded.keys() == trained.keys() and all(
            torch.equal(matrix, trained[key].detach().to("cpu", dtype).float())
            and abs(scale - weights.lora_alpha / rank) < 1e-6
            for key, (matrix, scale, rank) in loaded.items()
        )
        if not same:
            return False
    return True


def _load_with_diffusers(tensors: dict[str, Tensor], unet: nn.Module, text_encoder: nn.Module | None) -> None:
    """Load the tensors as `StableDiffusionPipeline.load_lora_weights` does.

    Unlike that method it does not warn about a file that holds no text encoder weights.
    """
    # imported here: diffusers may be imported only after `choose_attention_backend`, which loading a base does
    from diffusers.loaders import StableDiffusionLoraLoaderMixin as Loader  # the pipeline itself is loud to import

    state, alphas = Loader.lora_state_dict(dict(tensors))
    Loader.load_lora_into_unet(state, alphas, unet, adapter_name=ADAPTER)
    if text_encoder is not None and any(key.startswith("text_encoder.") for key in state):
        Loader.load_lora_into_text_encoder(state, alphas, text_encoder, adapter_name=ADAPTER)


def _magnitudes_equal(magnitudes: dict[str, Tensor], weights: LoraWeights, dtype: torch.dtype) -> bool:
    """Whether the file has exactly the trained magnitudes of a dora; of another type, whether it has none."""
    trained = {
        f"{kohya_name(component, module_path(key))}.dora_scale": value.detach().to("cpu", dtype).flatten()
        for component, state in weights.components()
        for key, value in state.items()
        if tensor_name(key) == "dora_scale"
    }
    same_keys = magnitudes.keys() == trained.keys()
    return same_keys and all(torch.equal(magnitudes[key].flatten(), trained[key]) for key in trained)


def _deltas_match(tensors: dict[str, Tensor], base: "Base", weights: LoraWeights, dtype: torch.dtype) -> bool:
    """Whether the file's deltas are those that peft computes from the trained factors, up to rounding to `dtype`."""
    modules, compared = group_by_module(tensors), 0
    for model, (component, state) in zip((base.unet, base.text_encoder), weights.components(), strict=True):
        for path, expected in peft_deltas(model, state, weights):
            module_tensors = modules.get(kohya_name(component, path))
            if module_tensors is None:
                return False
            # four factors are rounded, each by half a unit in the last place
            allowed = 4 * torch.finfo(dtype).eps * expected.abs().max() + 1e-7
            if (delta_matrix(module_tensors).reshape(expected.shape) - expected).abs().max() > allowed:
                return False
            compared += 1
    return compared == len(modules)


def peft_deltas(model: nn.Module, state: dict[str, Tensor], weights: LoraWeights) -> Iterator[tuple[str, Tensor]]:
    """The path of each module and the delta that peft computes from its loha or lokr factors, in fp32 on the CPU.

    state: the factors by peft's keys. model: tells the sizes of the modules.
    """
    by_path: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        by_path.setdefault(module_path(key), {})[tensor_name(key)] = value
    config, layers = (LoHaConfig(), loha) if weights.adapter_type == "loha" else (LoKrConfig(), lokr)
    for path, factors in by_path.items():
        layer = model.get_submodule(path)
        inner = layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer
        layer_class = layers.Conv2d if isinstance(inner, nn.Conv2d) else layers.Linear
        copy = layer_class(_empty_layer(inner), "default", config, r=weights.rank or 1, alpha=weights.lora_alpha)
        for name, value in factors.items():
            getattr(copy, name)["default"].data = value.detach().to("cpu", torch.float32)
        with torch.no_grad():
            yield path, copy.get_delta_weight("default")


def _empty_layer(layer: nn.Module) -> nn.Module:
    """A linear or convolution of the same shape, whose memory is reserved but never written.

    Raises TypeError for any other layer: peft puts no loha or lokr on one.
    """
    with torch.device("meta"):
        if isinstance(layer, nn.Conv2d):
            (height, width), out_channels = layer.kernel_size, layer.out_channels
            # stride and padding do not enter the delta
            copy: nn.Module = nn.Conv2d(layer.in_channels, out_channels, (height, width), groups=layer.groups)
        elif isinstance(layer, nn.Linear):
            copy = nn.Linear(layer.in_features, layer.out_features)
        else:
            raise TypeError(f"{type(layer).__name__} is no linear and no convolution")
    return copy.to_empty(device="cpu")


def _empty_copy(model: nn.Module) -> nn.Module:
    """A model of the same configuration whose memory is reserved but never written, so it costs next to nothing."""
    # models of diffusers have `from_config`, those of transformers take the configuration itself
    make = getattr(type(model), "from_config", type(model))
    with torch.device("meta"):
        copy: nn.Module = make(model.config)
    return copy.to_empty(device="cpu")


def _loaded_matrices(model: nn.Module) -> dict[str, tuple[Tensor, float, int]]:
    """Every matrix of the attached adapter in fp32, with the scale and rank of its module, by peft's key."""
    matrices = {}
    for path, layer in model.named_modules():
        if ADAPTER in getattr(layer, "scaling", {}):
            scale, rank = layer.scaling[ADAPTER], layer.r[ADAPTER]
            for name in ("lora_A", "lora_B"):
                weight = getattr(layer, name)[ADAPTER].weight
                matrices[f"{path}.{name}.weight"] = (weight.detach().float(), scale, rank)
    return matrices
