"""Going on from a LoRA file: its weights are where the training begins."""

import torch
from torch import Tensor, nn

from ksh_studio.config import SettledTraining
from ksh_studio.errors import StudioError
from ksh_studio.lora.file.header import LoraHeader, read_header
from ksh_studio.lora.file.names import Component, kohya_name
from ksh_studio.lora.file.reading import read_modules
from ksh_studio.lora.file.spellings import tensor_name
from ksh_studio.lora.file.weights import module_path
from ksh_studio.lora.listing import find_lora
from ksh_studio.project.workspace import Workspace

_SCALED = ("lora_up", "hada_w2_b", "lokr_w1", "lokr_w1_a")
"""The factor of each adapter type that takes up a difference of scale; it appears once in the product."""


@torch.no_grad()
def begin_from_file(parameters: dict[str, nn.Parameter], config: SettledTraining, workspace: Workspace) -> None:
    """Give a fresh LoRA's parameters, by the names of `add_adapter`, the values of the file `init_lora` names.

    The file's own alpha is taken up by the weights: at the first step the LoRA
    draws as the file does. Nothing happens where no file is named.
    Raises StudioError naming both sides when it is of another kind, rank or reach, or not finite.
    """
    if not config.init_lora:
        return
    info = read_header(find_lora(workspace, config.init_lora))
    trained: dict[str, dict[str, nn.Parameter]] = {}
    for key, parameter in parameters.items():
        part: Component = "unet" if key.startswith("unet.") else "text_encoder"
        module = kohya_name(part, module_path(key).removeprefix(f"{part}."))
        trained.setdefault(module, {})[tensor_name(key)] = parameter
    _check(info, config, trained)
    modules = read_modules(info)
    for module, factors in trained.items():
        roles = modules[module]
        # peft multiplies the product with alpha / rank, whatever the kind
        scale = _scale(roles, info.sizes[module].rank) / (config.lora_alpha / config.rank)
        for role, parameter in factors.items():
            value = roles[role].float() * (scale if role in _SCALED else 1.0)
            if not bool(torch.isfinite(value).all()):
                raise StudioError("lora.not_finite", name=info.path.name)
            parameter.copy_(value.reshape(parameter.shape))


def _check(info: LoraHeader, config: SettledTraining, trained: dict[str, dict[str, nn.Parameter]]) -> None:
    """Raise StudioError unless the file has exactly the modules, of the kind and the sizes that are to be trained."""
    shapes = {
        module: {role: shape for role, shape in roles.items() if role != "alpha"}
        for module, roles in info.modules.items()
    }
    same = shapes.keys() == trained.keys() and all(
        shapes[module].keys() == factors.keys()
        and all(_holds(shapes[module][role], parameter) for role, parameter in factors.items())
        for module, factors in trained.items()
    )
    if not same:
        theirs = {"kind": info.adapter_type, "rank": info.rank, "modules": info.module_count}
        ours = {"own_kind": config.adapter, "own_rank": config.rank, "own_modules": len(trained)}
        raise StudioError("adapter.init_other", name=info.path.name, **theirs, **ours)


def _holds(shape: tuple[int, ...], parameter: nn.Parameter) -> bool:
    """Whether a tensor of that shape holds this parameter's values; sides of length 1 are written or left out."""
    return [side for side in shape if side != 1] == [side for side in parameter.shape if side != 1]


def _scale(roles: dict[str, Tensor], rank: int | None) -> float:
    """What the file's product is multiplied with."""
    return float(roles["alpha"]) / rank if "alpha" in roles and rank is not None else 1.0
