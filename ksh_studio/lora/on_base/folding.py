"""LoRA kinds that diffusers does not load (dora, loha, lokr) are folded into the base's weights, and out again.

The base's own values of the changed weights are kept in the CPU's memory: taking the LoRA off puts them back bit for
bit, and another strength is computed from them. Drawing with a folded LoRA costs nothing.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from ksh_studio.lora.file.kinds import by_module
from ksh_studio.lora.file.names import Part, kohya_name
from ksh_studio.lora.on_base.delta import Roles, change

if TYPE_CHECKING:
    from ksh_studio.models.loading import Base


@dataclass
class _Worn:
    """One LoRA's tensors by module, and how much of it acts."""

    roles: dict[str, Roles]
    strength: float = 1.0


@dataclass
class _Folds:
    """What is folded into one model."""

    part: Part
    worn: dict[str, _Worn] = field(default_factory=dict)
    originals: dict[str, Tensor] = field(default_factory=dict)
    """The base's own values of the changed weights, on the CPU."""


_FOLDS: WeakKeyDictionary[nn.Module, _Folds] = WeakKeyDictionary()


def fold(base: "Base", tensors: dict[str, Tensor], adapter: str) -> None:
    """Put a LoRA file's tensors, which fit `base`, into its weights under the name `adapter`, at strength 1."""
    modules = by_module(tensors)
    for part, model in _models(base):
        own = {name: roles for name, roles in modules.items() if name in _weights(part, model)}
        if own:
            folds = _FOLDS.setdefault(model, _Folds(part))
            folds.worn[adapter] = _Worn(own)
            _refold(model, folds, set(own))


def set_folded_strength(model: nn.Module, adapter: str, strength: float) -> None:
    """How much of the folded LoRA acts on this model; nothing happens where none of that name is folded."""
    folds = _FOLDS.get(model)
    worn = folds.worn.get(adapter) if folds is not None else None
    if folds is not None and worn is not None and worn.strength != strength:
        worn.strength = strength
        _refold(model, folds, set(worn.roles))


def unfold(model: nn.Module, adapter: str | None = None) -> None:
    """Take the folded LoRA of this name out of the model's weights, or all of them."""
    folds = _FOLDS.get(model)
    if folds is None:
        return
    changed: set[str] = set()
    for name in [name for name in folds.worn if adapter in (None, name)]:
        changed |= set(folds.worn.pop(name).roles)
    _refold(model, folds, changed)
    if not folds.worn:
        del _FOLDS[model]


@torch.no_grad()
def _refold(model: nn.Module, folds: _Folds, changed: set[str]) -> None:
    """Compute the changed weights anew from the base's own values and what is worn."""
    weights = _weights(folds.part, model)
    for name in changed:
        weight = weights[name]
        original = folds.originals.setdefault(name, weight.detach().to("cpu", copy=True)).to(weight.device)
        total = original.float()
        acting = [worn for worn in folds.worn.values() if name in worn.roles and worn.strength]
        for worn in acting:
            total = total + worn.strength * change(worn.roles[name], original)
        weight.copy_(total if acting else original)


def _weights(part: Part, model: nn.Module) -> dict[str, nn.Parameter]:
    """The weight of every linear and convolution by its kohya name, whatever else is attached to it."""
    found: dict[str, nn.Parameter] = {}
    for path, module in model.named_modules():
        inner = module.get_base_layer() if isinstance(module, BaseTunerLayer) else module
        if isinstance(inner, nn.Linear | nn.Conv2d):
            found.setdefault(kohya_name(part, path), inner.weight)
    return found


def _models(base: "Base") -> tuple[tuple[Part, nn.Module], ...]:
    return ("unet", base.unet), ("text_encoder", base.text_encoder)
