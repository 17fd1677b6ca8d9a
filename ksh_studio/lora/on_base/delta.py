"""What a LoRA of any kind adds to a weight, rebuilt from the tensors of its file: our own reading of the formats.

Formulas: lora (arXiv:2106.09685), dora (arXiv:2402.09353, section 4), loha (arXiv:2108.06098), lokr (arXiv:2309.14859);
how the files hold them: KohakuBlueleaf/LyCORIS `lycoris/modules/{locon,loha,lokr}.py`.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ksh_studio.lora.file.kinds import measure

Roles = Mapping[str, Tensor]


def change(roles: Roles, weight: Tensor) -> Tensor:
    """What the module's tensors add to `weight` at strength 1, in fp32 on its device; the shape of `weight`.

    Only dora looks at the values of `weight`, which must be the base's own.
    """
    added = _change(roles, weight.device).reshape(weight.shape)
    if "dora_scale" not in roles:
        return added
    before = weight.float()
    after = before + added
    size = roles["dora_scale"].to(weight.device, torch.float32).flatten()
    axis = 0 if size.numel() == weight.shape[0] else 1  # a square weight: of every output, as peft and we write it
    norm = after.transpose(0, axis).flatten(1).norm(dim=1)
    scale = (size / norm).reshape([-1 if n == axis else 1 for n in range(weight.dim())])
    return after * scale - before


def matrix(roles: Roles) -> Tensor:
    """The change [outputs, inputs · kernel] in fp32 on the CPU, of any kind but dora, which needs the base's weight."""
    if "dora_scale" in roles:
        raise ValueError("the change of dora depends on the base's weight")
    return _change(roles, torch.device("cpu"))


def _change(roles: Roles, device: torch.device) -> Tensor:
    """The change before dora's rescaling, [outputs, inputs · kernel]."""
    own = {name: tensor.to(device, torch.float32) for name, tensor in roles.items() if name != "dora_scale"}
    sizes = measure({name: tuple(tensor.shape) for name, tensor in own.items()})
    # without an alpha every reader takes 1; so does a lokr of two whole matrices, which has no rank to divide by
    scale = own["alpha"].reshape(()) / sizes.rank if "alpha" in own and sizes.rank is not None else 1.0
    if sizes.kind == "lokr":
        full = _kronecker(_whole(own, "lokr_w1", "lokr_t1"), _whole(own, "lokr_w2", "lokr_t2"))
    elif sizes.kind == "loha":
        full = _whole(own, "hada_w1", "hada_t1").flatten(1) * _whole(own, "hada_w2", "hada_t2").flatten(1)
    elif "lora_mid" in own:
        full = torch.einsum(
            "ij...,oi,jn->on...", own["lora_mid"], own["lora_up"].flatten(1), own["lora_down"].flatten(1)
        )
    else:
        full = own["lora_up"].flatten(1) @ own["lora_down"].flatten(1)
    return full.reshape(sizes.outside, sizes.inside) * scale


def _whole(own: Roles, name: str, core: str) -> Tensor:
    """A factor that is held whole, as a product of two, or as a Tucker decomposition (`core`)."""
    if name in own:
        return own[name]
    first, second = own[f"{name}_a"], own[f"{name}_b"]
    if core in own:
        return torch.einsum("ij...,ip,jr->pr...", own[core], first, second)
    return first @ second.flatten(1)


def _kronecker(first: Tensor, second: Tensor) -> Tensor:
    """Kronecker product of a matrix and one that may have a kernel."""
    return torch.kron(first.reshape(*first.shape, *[1] * (second.dim() - 2)), second)
