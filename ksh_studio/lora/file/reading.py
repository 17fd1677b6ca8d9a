"""Reads the tensors of a LoRA file, from any spelling and number type, as those of kohya's format."""

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ksh_studio.errors import StudioError
from ksh_studio.lora.file.header import LoraHeader
from ksh_studio.lora.file.spellings import module_name, tensor_name

SCALE_LIMIT = 10_000
"""The largest alpha / rank that is accepted: a change this much stronger than its factors is no one's intention."""
_KEPT_TYPES = (torch.float16, torch.bfloat16, torch.float32)
Modules = dict[str, dict[str, Tensor]]
"""The tensors of every module that a LoRA changes, by the module's kohya name and the tensor's."""


def read_modules(header: LoraHeader) -> Modules:
    """Read the tensors of every module, and its alpha wherever the file keeps it; other tensors are not read.

    Weights of 8 bits become fp16 and those of 64 bits fp32; alpha [] is fp32. A module without an alpha has none here
    either: every reader then takes a scale of 1.
    Raises StudioError when the file is damaged or holds values that are not finite.
    """
    name = header.path.name
    modules: Modules = {}
    left_out = frozenset(header.left_out)
    try:
        with safe_open(header.path, "pt") as file:
            for key in header.shapes:
                if key not in left_out:
                    value = file.get_tensor(key)
                    # peft's magnitudes are one for every output; those of a convolution are [1, outputs, 1, 1]
                    value = value.flatten() if "lora_magnitude_vector" in key else value
                    modules.setdefault(module_name(key), {})[tensor_name(key)] = value
    except (SafetensorError, OSError) as error:
        raise StudioError("lora.damaged", name=name) from error
    for module, alpha in header.saved_alphas.items():
        modules[module].setdefault("alpha", torch.tensor(alpha))
    for module, tensors in modules.items():
        for tensor, value in tensors.items():
            tensors[tensor] = value.float().reshape(()) if tensor == "alpha" else _usual_type(value)
        if not all(bool(torch.isfinite(value).all()) for value in tensors.values()):
            raise StudioError("lora.not_finite", name=name)
        rank = header.sizes[module].rank
        if "alpha" in tensors and rank is not None and abs(float(tensors["alpha"])) > SCALE_LIMIT * rank:
            raise StudioError("lora.alpha", name=name, alpha=f"{float(tensors['alpha']):g}", rank=rank)
    return modules


def kohya_factors(modules: Modules) -> dict[str, Tensor]:
    """The two factors of every module of a plain lora by kohya's keys, without the alphas."""
    return {
        f"{module}.{name}.weight": value
        for module, tensors in modules.items()
        for name, value in tensors.items()
        if name != "alpha"
    }


def _usual_type(value: Tensor) -> Tensor:
    """The weights in a type that can be computed with; what fp16 or fp32 hold exactly stays exact."""
    if value.dtype in _KEPT_TYPES:
        return value
    return value.to(torch.float32 if value.dtype == torch.float64 else torch.float16)
