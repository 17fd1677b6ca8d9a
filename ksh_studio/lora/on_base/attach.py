"""Attaches a LoRA file to a base model, sets its strength and detaches it again."""

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors.torch
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from ksh_studio.errors import StudioError
from ksh_studio.lora.file.adapter_types import group_by_module
from ksh_studio.lora.file.header import LoraHeader, read_header
from ksh_studio.lora.file.names import Component, kohya_name
from ksh_studio.lora.on_base.folding import fold, set_folded_strength, unfold

if TYPE_CHECKING:
    from ksh_studio.models.loading import Base

ADAPTER = "style"
"""The adapter name of an attached LoRA; when several are attached at once, each one's name begins with it."""


def check_fits(path: Path, base: "Base") -> LoraHeader:
    """Read the header of the LoRA file and check that every module in it is one of `base` and has its size.

    Raises StudioError when the file is no LoRA or does not fit; the sentence says what it was made for.
    """
    header = read_header(path)
    weights = base_shapes("unet", base.unet) | base_shapes("text_encoder", base.text_encoder)
    modules = group_by_module(header.shapes)
    unknown = [module for module, shapes in modules.items() if set(shapes) == {""}]
    if any(key.rpartition(".")[0] in weights for key in unknown):  # a module of this base, changed by another method
        raise StudioError("adapter.unknown_part", name=path.name, found=unknown[0])
    if len(header.sizes) == len(modules) and all(
        module in weights
        and (sizes.rows, sizes.columns) == (weights[module][0], prod(weights[module][1:]))
        and prod(modules[module].get("dora_scale", weights[module][:1])) in weights[module][:2]
        for module, sizes in header.sizes.items()
    ):
        return header
    name, base_name = header.path.name, base.entry.name
    if header.only_base:
        raise StudioError("lora.only_for", name=name, made_for=header.only_base, base=base_name)
    if header.is_sdxl:
        raise StudioError("lora.for_sdxl", name=name, base=base_name)
    raise StudioError("lora.other_model", name=name, made_for=header.base or "?", base=base_name)


def base_shapes(component: Component, model: nn.Module) -> dict[str, tuple[int, ...]]:
    """The shape of the weight of every linear and convolution of `model`, by kohya name, without those of adapters."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path, module in model.named_modules():
        inner = module.get_base_layer() if isinstance(module, BaseTunerLayer) else module
        if isinstance(inner, nn.Linear | nn.Conv2d):
            shapes.setdefault(kohya_name(component, path), tuple(inner.weight.shape))
    return shapes


def attach(base: "Base", path: Path, strength: float = 1.0, adapter: str = ADAPTER) -> LoraHeader:
    """Attach the LoRA file to `base`, in place of the one attached under this adapter name, and set its strength.

    adapter: `ADAPTER`, or a name that begins with it when several files are attached at once.
    Raises StudioError, and leaves `base` as it was, when the file does not fit or holds values that are not finite.
    """
    header = check_fits(path, base)
    tensors = safetensors.torch.load_file(path)
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise StudioError("lora.not_finite", name=path.name)
    detach(base, adapter)
    if header.type_other_than_lora is not None:
        fold(base, tensors, adapter)  # diffusers leaves the magnitudes of dora out, and loads no loha or lokr
    else:
        load_adapter(tensors, base.unet, base.text_encoder, adapter)
    for layer in (*_adapted_layers(base.unet), *_adapted_layers(base.text_encoder)):
        layer.set_adapter([name for name in layer.scaling if name.startswith(ADAPTER)], inference_mode=True)
    set_strength(base, strength, adapter=adapter)
    return header


def load_adapter(
    tensors: dict[str, torch.Tensor], unet: nn.Module, text_encoder: nn.Module | None, adapter: str = ADAPTER
) -> None:
    """Load the tensors through diffusers, as `StableDiffusionPipeline.load_lora_weights` does.

    Unlike that method it does not warn about a file that holds no text encoder weights.
    """
    # imported here: diffusers may be imported only after `choose_attention_backend`, which loading a base does
    from diffusers.loaders import StableDiffusionLoraLoaderMixin as Loader  # the pipeline itself is loud to import

    state, alphas = Loader.lora_state_dict(dict(tensors))
    Loader.load_lora_into_unet(state, alphas, unet, adapter_name=adapter)
    if text_encoder is not None and any(key.startswith("text_encoder.") for key in state):
        Loader.load_lora_into_text_encoder(state, alphas, text_encoder, adapter_name=adapter)


def set_strength(base: "Base", strength: float, text_encoder: float | None = None, adapter: str = ADAPTER) -> None:
    """Set the strength of an attached LoRA, without loading it again: 0 has no effect, 1 is as trained.

    text_encoder: the strength in the text encoder, when it differs from that in the UNet.
    """
    for model, scale in (
        (base.unet, strength),
        (base.text_encoder, strength if text_encoder is None else text_encoder),
    ):
        set_folded_strength(model, adapter, scale)
        for layer in _adapted_layers(model):
            layer.set_scale(adapter, scale)


def detach(base: "Base", adapter: str | None = None) -> None:
    """Detach the LoRA of this adapter name, or all of them; `base` then computes bit for bit what it did before."""
    for model in (base.unet, base.text_encoder):
        unfold(model, adapter)
        for name in list(getattr(model, "peft_config", {})):
            if name == adapter or (adapter is None and name.startswith(ADAPTER)):
                model.delete_adapters(name) if hasattr(model, "delete_adapters") else model.delete_adapter(name)


def _adapted_layers(model: nn.Module) -> list[BaseTunerLayer]:
    """The layers that an attached LoRA changes through peft."""
    layers = (layer for layer in model.modules() if isinstance(layer, BaseTunerLayer))
    return [layer for layer in layers if any(name.startswith(ADAPTER) for name in layer.scaling)]
