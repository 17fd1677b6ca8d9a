"""Adds the adapter types that diffusers does not load (dora, loha, lokr) to the base's weights, and removes them again.

The original values of the changed weights are kept in the CPU's memory: unfolding puts them back bit for bit, and
another strength is computed from them. Generating with a folded LoRA takes no more time than without one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from ksh_studio.lora.file.names import Component, kohya_name
from ksh_studio.lora.file.reading import Modules
from ksh_studio.lora.on_base.delta import ModuleTensors, weight_delta

if TYPE_CHECKING:
    from ksh_studio.models.loading import Base


@dataclass
class _FoldedLora:
    """The tensors of one folded LoRA by module, and its strength."""

    modules: Mapping[str, ModuleTensors]
    strength: float = 1.0


@dataclass
class _Folds:
    """The LoRAs that are folded into one model, by adapter name."""

    component: Component
    loras: dict[str, _FoldedLora] = field(default_factory=dict)
    originals: dict[str, Tensor] = field(default_factory=dict)
    """The base's values of the changed weights, on the CPU, by kohya name."""


_FOLDS: WeakKeyDictionary[nn.Module, _Folds] = WeakKeyDictionary()


def fold(base: "Base", modules: Modules, adapter: str) -> None:
    """Add a LoRA's modules, which must fit `base`, to its weights under the name `adapter`, at strength 1."""
    for component, model in _models(base):
        weights = _weights(component, model)
        of_model = {name: module_tensors for name, module_tensors in modules.items() if name in weights}
        if of_model:
            folds = _FOLDS.setdefault(model, _Folds(component))
            folds.loras[adapter] = _FoldedLora(of_model)
            _refold(model, folds, set(of_model))


def set_folded_strength(model: nn.Module, adapter: str, strength: float) -> None:
    """Set the strength of a folded LoRA in this model; without one of that adapter name nothing happens."""
    folds = _FOLDS.get(model)
    lora = folds.loras.get(adapter) if folds is not None else None
    if folds is not None and lora is not None and lora.strength != strength:
        lora.strength = strength
        _refold(model, folds, set(lora.modules))


def unfold(model: nn.Module, adapter: str | None = None) -> None:
    """Remove the folded LoRA of this adapter name from the model's weights, or all of them."""
    folds = _FOLDS.get(model)
    if folds is None:
        return
    changed: set[str] = set()
    for name in [name for name in folds.loras if adapter in (None, name)]:
        changed |= set(folds.loras.pop(name).modules)
    _refold(model, folds, changed)
    if not folds.loras:
        del _FOLDS[model]


@torch.no_grad()
def _refold(model: nn.Module, folds: _Folds, changed: set[str]) -> None:
    """Compute the changed weights anew from the base's values and all folded LoRAs."""
    weights = _weights(folds.component, model)
    for name in changed:
        weight = weights[name]
        original = folds.originals.setdefault(name, weight.detach().to("cpu", copy=True)).to(weight.device)
        total = original.float()
        active = [lora for lora in folds.loras.values() if name in lora.modules and lora.strength]
        for lora in active:
            total = total + lora.strength * weight_delta(lora.modules[name], original)
        weight.copy_(total if active else original)


def _weights(component: Component, model: nn.Module) -> dict[str, Tensor]:
    """The weight of every linear and convolution of the base model by kohya name, without those of adapters."""
    weights: dict[str, Tensor] = {}
    for path, module in model.named_modules():
        inner = module.get_base_layer() if isinstance(module, BaseTunerLayer) else module
        if isinstance(inner, nn.Linear | nn.Conv2d):
            weights.setdefault(kohya_name(component, path), inner.weight)
    return weights


def _models(base: "Base") -> tuple[tuple[Component, nn.Module], ...]:
    return ("unet", base.unet), ("text_encoder", base.text_encoder)
