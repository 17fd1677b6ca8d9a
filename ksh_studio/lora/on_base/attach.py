"""Attaches a LoRA file to a base model, sets its strength and detaches it again."""

from pathlib import Path
from typing import TYPE_CHECKING

from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from ksh_studio.lora.file.names import Component, kohya_name
from ksh_studio.lora.file.reading import Modules, read_modules
from ksh_studio.lora.on_base.fitting import Fit, check_fits
from ksh_studio.lora.on_base.folding import fold, set_folded_strength, unfold

if TYPE_CHECKING:
    from ksh_studio.models.loading import Base

ADAPTER = "style"
"""The adapter name of an attached LoRA; when several are attached at once, each one's name begins with it."""


def attach(base: "Base", path: Path, strength: float = 1.0, adapter: str = ADAPTER) -> Fit:
    """Attach the LoRA file to `base`, in place of the one attached under this adapter name, and set its strength.

    Returns what of the file is used and what is left out.
    adapter: `ADAPTER`, or a name that begins with it when several files are attached at once.
    Raises StudioError, and leaves `base` as it was, when the file does not fit or holds values that are not finite.
    """
    fit = check_fits(path, base)
    modules = {name: tensors for name, tensors in read_modules(fit.header).items() if name in fit.modules}
    detach(base, adapter)
    if fit.header.is_plain:
        _load_plain(base, modules, adapter)
    else:
        fold(base, modules, adapter)
    for layer in (*_adapted_layers(base.unet), *_adapted_layers(base.text_encoder)):
        layer.set_adapter([name for name in layer.scaling if name.startswith(ADAPTER)], inference_mode=True)
    set_strength(base, strength, adapter=adapter)
    return fit


def _load_plain(base: "Base", modules: Modules, adapter: str) -> None:
    """Load the modules of a plain lora as layers of peft, each with its own alpha.

    peft is given the modules' paths in the model. What diffusers makes of the names in a kohya file loses an alpha that
    differs between modules, and fails where a text encoder has a change in a few modules only.
    """
    unet, text_encoder = base.unet, base.text_encoder
    factors, ranks = _peft_factors("unet", unet, modules)
    if factors:
        unet.load_lora_adapter(factors, prefix=None, adapter_name=adapter)
    factors, ranks = _peft_factors("text_encoder", text_encoder, modules)
    if factors:
        config = LoraConfig(r=max(ranks.values()), rank_pattern=ranks, target_modules=list(ranks))
        text_encoder.load_adapter(adapter_name=adapter, adapter_state_dict=factors, peft_config=config)
        text_encoder.to(dtype=text_encoder.dtype)  # as diffusers does: peft's layers come in fp32
    models: tuple[tuple[Component, nn.Module], ...] = ("unet", unet), ("text_encoder", text_encoder)
    for component, model in models:
        for path, layer in model.named_modules():
            if isinstance(layer, LoraLayer) and adapter in layer.scaling:
                # a module without an alpha has a scale of 1
                alpha = modules[kohya_name(component, path)].get("alpha", layer.r[adapter])
                layer.lora_alpha[adapter] = float(alpha)


def _peft_factors(component: Component, model: nn.Module, modules: Modules) -> tuple[dict[str, Tensor], dict[str, int]]:
    """The factors of the modules of this model by peft's keys, and the rank of each module by its path.

    A linear layer gets factors of two sides and a convolution of four: some programs leave sides of length 1 out, or
    write them where the layer has none.
    """
    factors: dict[str, Tensor] = {}
    ranks: dict[str, int] = {}
    for path, layer in model.named_modules():
        inner = layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer
        tensors = modules.get(kohya_name(component, path))
        if tensors is not None and isinstance(inner, nn.Linear | nn.Conv2d):
            (out_channels, *inputs), rank = inner.weight.shape, tensors["lora_down"].shape[0]
            ones = [1] * (len(inputs) - 1)
            factors[f"{path}.lora_A.weight"] = tensors["lora_down"].reshape(rank, *inputs)
            factors[f"{path}.lora_B.weight"] = tensors["lora_up"].reshape(out_channels, rank, *ones)
            ranks[path] = rank
    return factors, ranks


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
