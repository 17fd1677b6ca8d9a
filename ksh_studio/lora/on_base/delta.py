"""The delta that a LoRA adds to a weight, computed from the tensors of its file; our own code for every adapter type.

Formulas: lora (arXiv:2106.09685), dora (arXiv:2402.09353, section 4), loha (arXiv:2108.06098), lokr (arXiv:2309.14859);
how the files store them: KohakuBlueleaf/LyCORIS `lycoris/modules/{locon,loha,lokr}.py`.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ksh_studio.lora.file.adapter_types import module_sizes

ModuleTensors = Mapping[str, Tensor]
"""The tensors of one module by their names, such as "lora_down"."""


def weight_delta(tensors: ModuleTensors, weight: Tensor) -> Tensor:
    """What the module's tensors add to `weight` at strength 1: fp32, on its device, of its shape.

    The values of `weight` matter for dora only; they must be those of the base model, without other LoRAs.
    """
    delta = _delta(tensors, weight.device).reshape(weight.shape)
    if "dora_scale" not in tensors:
        return delta
    before = weight.float()
    after = before + delta
    magnitude = tensors["dora_scale"].to(weight.device, torch.float32)
    # [outputs, 1] has one magnitude for every output, [1, inputs] one for every input; a square weight can have either
    axis = 0 if magnitude.shape[0] == magnitude.numel() == weight.shape[0] else 1
    norm = after.transpose(0, axis).flatten(1).norm(dim=1)
    scale = (magnitude.flatten() / norm).reshape([-1 if n == axis else 1 for n in range(weight.dim())])
    return after * scale - before


def delta_matrix(tensors: ModuleTensors) -> Tensor:
    """The delta [outputs, inputs · kernel] in fp32 on the CPU.

    Raises ValueError for dora, whose delta depends on the base's weight.
    """
    if "dora_scale" in tensors:
        raise ValueError("the delta of dora depends on the base's weight")
    return _delta(tensors, torch.device("cpu"))


def _delta(module_tensors: ModuleTensors, device: torch.device) -> Tensor:
    """The delta [outputs, inputs · kernel], before the rescaling that dora adds."""
    tensors = {
        name: tensor.to(device, torch.float32) for name, tensor in module_tensors.items() if name != "dora_scale"
    }
    sizes = module_sizes({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    # without an alpha every reader takes a scale of 1; so they do for a lokr of two whole matrices, which has no rank
    scale = tensors["alpha"].reshape(()) / sizes.rank if "alpha" in tensors and sizes.rank is not None else 1.0
    if sizes.adapter_type == "full":
        full = tensors["diff"]
    elif sizes.adapter_type == "lokr":
        full = _kronecker(_full_factor(tensors, "lokr_w1", "lokr_t1"), _full_factor(tensors, "lokr_w2", "lokr_t2"))
    elif sizes.adapter_type == "loha":
        first, second = _full_factor(tensors, "hada_w1", "hada_t1"), _full_factor(tensors, "hada_w2", "hada_t2")
        full = first.flatten(1) * second.flatten(1)
    elif "lora_mid" in tensors:
        full = torch.einsum(
            "ij...,oi,jn->on...", tensors["lora_mid"], tensors["lora_up"].flatten(1), tensors["lora_down"].flatten(1)
        )
    else:
        full = tensors["lora_up"].flatten(1) @ tensors["lora_down"].flatten(1)
    return full.reshape(sizes.rows, sizes.columns) * scale


def _full_factor(tensors: ModuleTensors, name: str, core: str) -> Tensor:
    """A factor of loha or lokr, which is stored whole, as a product of two or as a Tucker decomposition (`core`)."""
    if name in tensors:
        return tensors[name]
    first, second = tensors[f"{name}_a"], tensors[f"{name}_b"]
    if core in tensors:
        return torch.einsum("ij...,ip,jr->pr...", tensors[core], first, second)
    return first @ second.flatten(1)


def _kronecker(first: Tensor, second: Tensor) -> Tensor:
    """The Kronecker product of a matrix and a matrix that may have a kernel."""
    # kron needs its second factor contiguous, which a Tucker decomposition multiplied out is not
    return torch.kron(first.reshape(*first.shape, *[1] * (second.dim() - 2)), second.contiguous())
