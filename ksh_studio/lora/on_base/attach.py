"""Puts a LoRA file onto a base model through diffusers' own loader, sets its strength, takes it off again."""

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors.torch
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from ksh_studio.errors import StudioError
from ksh_studio.lora.file.header import LoraInfo, read_header
from ksh_studio.lora.file.kinds import by_module
from ksh_studio.lora.file.names import Part, kohya_name
from ksh_studio.lora.on_base.folding import fold, set_folded_strength, unfold

if TYPE_CHECKING:
    from ksh_studio.models.loading import Base

ADAPTER = "style"
"""Name on the base of the LoRA; of several worn at once, the beginning of their names."""


def check_fits(path: Path, base: "Base") -> LoraInfo:
    """The header of the LoRA file, if every module in it is one of `base` and has its size.

    Raises StudioError that says what the file was made for when it does not fit, or is no LoRA.
    """
    info = read_header(path)
    weights = base_shapes("unet", base.unet) | base_shapes("text_encoder", base.text_encoder)
    known = by_module(info.shapes)
    unknown = [module for module, roles in known.items() if set(roles) == {""}]
    if any(key.rpartition(".")[0] in weights for key in unknown):  # of this base, but nothing that is known here
        raise StudioError("adapter.unknown_part", name=path.name, found=unknown[0])
    if len(info.measured) == len(known) and all(
        module in weights
        and (sizes.outside, sizes.inside) == (weights[module][0], prod(weights[module][1:]))
        and prod(known[module].get("dora_scale", weights[module][:1])) in weights[module][:2]
        for module, sizes in info.measured.items()
    ):
        return info
    name, base_name = info.path.name, base.entry.name
    if info.only_for:
        raise StudioError("lora.only_for", name=name, made_for=info.only_for, base=base_name)
    if info.is_sdxl:
        raise StudioError("lora.for_sdxl", name=name, base=base_name)
    raise StudioError("lora.other_model", name=name, made_for=info.base or "?", base=base_name)


def base_shapes(part: Part, model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shape of the weight of every linear and convolution of `model`, by its kohya name, adapters left out."""
    found = {}
    for path, module in model.named_modules():
        inner = module.get_base_layer() if isinstance(module, BaseTunerLayer) else module
        if isinstance(inner, nn.Linear | nn.Conv2d):
            found.setdefault(kohya_name(part, path), tuple(inner.weight.shape))
    return found


def attach(base: "Base", path: Path, strength: float = 1.0, adapter: str = ADAPTER) -> LoraInfo:
    """Load the LoRA file onto `base` in place of the one of that adapter's name, and set its strength.

    adapter: "style", or a name that begins so where several files act at once.
    Raises StudioError, with `base` as it was, for a file that does not fit or holds values that are not finite.
    """
    info = check_fits(path, base)
    tensors = safetensors.torch.load_file(path)
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise StudioError("lora.not_finite", name=path.name)
    detach(base, adapter)
    if any(measured.kind != "lora" for measured in info.measured.values()):
        fold(base, tensors, adapter)  # diffusers drops what makes a dora, and loads no loha or lokr onto such a base
    else:
        load_adapter(tensors, base.unet, base.text_encoder, adapter)
    for layer in (*_layers(base.unet), *_layers(base.text_encoder)):
        layer.set_adapter([name for name in layer.scaling if name.startswith(ADAPTER)], inference_mode=True)
    set_strength(base, strength, adapter=adapter)
    return info


def load_adapter(
    tensors: dict[str, torch.Tensor], unet: nn.Module, text_encoder: nn.Module | None, adapter: str = ADAPTER
) -> None:
    """What `StableDiffusionPipeline.load_lora_weights` does, without its warning for a file of the UNet alone."""
    # imported here: diffusers may be imported only after `prepare_attention`, which loading a base does
    from diffusers.loaders import StableDiffusionLoraLoaderMixin as Loader  # the pipeline itself is loud to import

    state, alphas = Loader.lora_state_dict(dict(tensors))
    Loader.load_lora_into_unet(state, alphas, unet, adapter_name=adapter)
    if text_encoder is not None and any(key.startswith("text_encoder.") for key in state):
        Loader.load_lora_into_text_encoder(state, alphas, text_encoder, adapter_name=adapter)


def set_strength(base: "Base", strength: float, text_encoder: float | None = None, adapter: str = ADAPTER) -> None:
    """How much of the attached LoRA acts: 0 nothing, 1 as trained; nothing is reloaded.

    text_encoder: another strength for that part.
    """
    for model, scale in (
        (base.unet, strength),
        (base.text_encoder, strength if text_encoder is None else text_encoder),
    ):
        set_folded_strength(model, adapter, scale)
        for layer in _layers(model):
            layer.set_scale(adapter, scale)


def detach(base: "Base", adapter: str | None = None) -> None:
    """Take the LoRA off, or all of them; without any, `base` gives bit for bit what it gave before."""
    for model in (base.unet, base.text_encoder):
        unfold(model, adapter)
        for name in list(getattr(model, "peft_config", {})):
            if name == adapter or (adapter is None and name.startswith(ADAPTER)):
                model.delete_adapters(name) if hasattr(model, "delete_adapters") else model.delete_adapter(name)


def _layers(model: nn.Module) -> list[BaseTunerLayer]:
    """Layers that some attached LoRA changes."""
    layers = (layer for layer in model.modules() if isinstance(layer, BaseTunerLayer))
    return [layer for layer in layers if any(name.startswith(ADAPTER) for name in layer.scaling)]
