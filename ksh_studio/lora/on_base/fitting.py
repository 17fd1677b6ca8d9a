"""Whether a LoRA file fits a base model, and what of it does not belong there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from ksh_studio.errors import StudioError
from ksh_studio.locales import Sentence, sentence
from ksh_studio.lora.file.adapter_types import Shape
from ksh_studio.lora.file.header import LoraHeader, read_header
from ksh_studio.lora.file.names import TEXT_ENCODER_PREFIX, UNET_PREFIX, Component, kohya_name

if TYPE_CHECKING:
    from ksh_studio.models.loading import Base


@dataclass(frozen=True)
class Fit:
    """A LoRA file that fits a base model."""

    header: LoraHeader
    modules: frozenset[str]
    """Kohya names of the modules that it changes."""
    left_out: tuple[str, ...]
    """Names of what is in the file and is not used: tensors of no LoRA, and modules that the base does not have."""

    def warnings(self) -> list[Sentence]:
        """A sentence that names what is left out; none when nothing is."""
        if not self.left_out:
            return []
        first = self.left_out[0][:100]
        return [sentence("lora.left_out", name=self.header.path.name, count=len(self.left_out), part=first)]


def check_fits(path: Path, base: "Base") -> Fit:
    """Read the header of the LoRA file and check that `base` has its modules, in their sizes.

    A file may hold more than a LoRA for this base: what is left out is named. But most of what it changes in the UNet
    must be there, and so in the text encoder; otherwise it was made for another model.
    Raises StudioError when the file is no LoRA or does not fit; the sentence says what it was made for.
    """
    header = read_header(path)
    weights = base_shapes("unet", base.unet) | base_shapes("text_encoder", base.text_encoder)
    modules = frozenset(header.sizes.keys() & weights.keys())
    if all(_has_size(header, module, weights[module]) for module in modules) and _are_most(modules, header.sizes):
        return Fit(header, modules, (*header.left_out, *(module for module in header.sizes if module not in modules)))
    name, base_name = header.path.name, base.entry.name
    if header.only_base:
        raise StudioError("lora.only_for", name=name, made_for=header.only_base, base=base_name)
    if header.is_sdxl:
        raise StudioError("lora.for_sdxl", name=name, base=base_name)
    if header.base:
        raise StudioError("lora.other_model", name=name, made_for=header.base, base=base_name)
    raise StudioError("lora.other_model_unnamed", name=name, base=base_name)


def base_shapes(component: Component, model: nn.Module) -> dict[str, Shape]:
    """The shape of the weight of every linear and convolution of `model`, by kohya name, without those of adapters."""
    shapes: dict[str, Shape] = {}
    for path, module in model.named_modules():
        inner = module.get_base_layer() if isinstance(module, BaseTunerLayer) else module
        if isinstance(inner, nn.Linear | nn.Conv2d):
            shapes.setdefault(kohya_name(component, path), tuple(inner.weight.shape))
    return shapes


def _has_size(header: LoraHeader, module: str, weight: Shape) -> bool:
    """Whether a module of the file changes a weight of this shape, and has a magnitude for each row or each column."""
    sizes = header.sizes[module]
    magnitudes = prod(header.modules[module].get("dora_scale", weight[:1]))
    return (sizes.rows, sizes.columns) == (weight[0], prod(weight[1:])) and magnitudes in weight[:2]


def _are_most(modules: frozenset[str], all_modules: Mapping[str, object]) -> bool:
    """Whether `modules` are most of those of the UNet and most of those of the text encoder, and none is of neither."""
    counts = [(_count(modules, prefix), _count(all_modules, prefix)) for prefix in (UNET_PREFIX, TEXT_ENCODER_PREFIX)]
    of_both = sum(count for _, count in counts)
    return of_both == len(all_modules) and all(2 * here > count or not count for here, count in counts)


def _count(modules: Iterable[str], prefix: str) -> int:
    return sum(module.startswith(prefix) for module in modules)
