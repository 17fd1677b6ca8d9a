"""The optimisers to choose from, behind one face: made, stepped, switched to their average, saved and restored.

`adamw` is PyTorch's own and steps in one kernel. The others are packages of their own, imported only when chosen:
`adamw8bit` (bitsandbytes, arXiv:2110.02861), `prodigy` (prodigyopt, arXiv:2306.06101), `schedule_free` (schedulefree,
arXiv:2405.15682); each of them reads something back from the device in every step.
"""

import copy
import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ksh_studio.config import SettledTraining
from ksh_studio.errors import StudioError
from ksh_studio.training.step.learning_rate import Schedule

_PACKAGES = {"adamw8bit": "bitsandbytes", "prodigy": "prodigyopt", "schedule_free": "schedulefree"}
_GROUP_STATE = ("k", "d", "d_max", "d_hat", "d_numerator", "d_denom", "weight_sum", "lr_max", "scheduled_lr")
"""What prodigy and schedule-free keep in their groups beside the settings."""


@runtime_checkable
class Averaging(Protocol):
    """An optimiser whose weights can be switched to their average and back, as schedule-free's can."""

    def train(self) -> None:
        """The weights are those that are stepped."""

    def eval(self) -> None:
        """The weights are the average."""


class Optimizer:
    """The optimiser of one run, over parameters by name.

    Raises StudioError with the command that installs it when its package is not there.
    """

    def __init__(self, parameters: dict[str, nn.Parameter], config: SettledTraining) -> None:
        self.parameters = parameters
        self.inner = _make(parameters, config)
        self.fused = bool(self.inner.defaults.get("fused"))
        self.averaging = self.inner if isinstance(self.inner, Averaging) else None
        if self.averaging is not None:
            self.averaging.train()

    @property
    def averages(self) -> bool:
        """Whether what it has learnt is an average of its own, beside the weights that are stepped."""
        return self.averaging is not None

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Its groups; "base_lr" is the learning rate before the schedule."""
        return self.inner.param_groups

    @property
    def learning_rate(self) -> float:
        """The first group's learning rate at this step; with prodigy the one that it has found."""
        group = self.param_groups[0]
        return group["lr"] * group.get("d", 1.0)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        self.inner.zero_grad(set_to_none=set_to_none)

    def step(self, finite: Tensor, scaler: torch.amp.GradScaler) -> None:
        """Move the weights by gradients already unscaled, unless they are not finite.

        finite: [] on the device, 1 or 0. A fused optimiser skips on the device itself; the others have to be asked.
        """
        if scaler.is_enabled():
            scaler.step(self.inner)
            scaler.update()
        elif self.fused:
            vars(self.inner)["found_inf"] = 1 - finite  # where GradScaler puts it for a fused optimiser
            self.inner.step()
        elif bool(finite):
            self.inner.step()

    @contextmanager
    def showing_average(self) -> Iterator[None]:
        """The weights are the optimiser's own average while the block runs; afterwards as before, bit for bit.

        Going back by arithmetic, as the library does, would round: a run with previews would differ from one without.
        """
        if self.averaging is None:
            yield
            return
        before = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        self.averaging.eval()
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in before.items():
                    self.parameters[name].copy_(value)
            for group in self.param_groups:
                group["train_mode"] = True

    def tensors(self) -> dict[str, Tensor]:
        """Its state that is tensors: `<kind>/<parameter>`."""
        return {
            # 8-bit states share their tables, and a file may hold nothing twice
            f"{kind}/{name}": value.detach().clone() if kind.startswith("qmap") else value.detach()
            for name, kind, value in self._state()
            if isinstance(value, Tensor)
        }

    def numbers(self) -> dict[str, Any]:
        """Its state that is not tensors, for JSON: of each parameter, and of each group."""
        by_parameter: dict[str, dict[str, Any]] = {}
        for name, kind, value in self._state():
            if not isinstance(value, Tensor):
                by_parameter.setdefault(name, {})[kind] = value
        groups = [{key: group[key] for key in _GROUP_STATE if key in group} for group in self.param_groups]
        return {"parameters": by_parameter, "groups": groups}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Go on from what `tensors` and `numbers` gave."""
        for name, parameter in self.parameters.items():
            state: dict[str, Any] = copy.copy(numbers.get("parameters", {}).get(name, {}))
            for key, value in tensors.items():
                kind, _, owner = key.partition("/")
                if owner == name:
                    state[kind] = value.to(parameter.device, copy=True)
            self.inner.state[parameter] = state
        for group, values in zip(self.param_groups, numbers.get("groups", ()), strict=False):
            group.update(values)

    def _state(self) -> Iterator[tuple[str, str, Any]]:
        for name, parameter in self.parameters.items():
            for kind, value in self.inner.state.get(parameter, {}).items():
                yield name, kind, value


def schedule_of(config: SettledTraining) -> Schedule:
    """How the learning rate falls: schedule-free averages instead, so for it it stays after the warm-up."""
    if config.optimizer == "schedule_free" and config.lr_scheduler != "constant":
        return "constant_with_warmup"
    return config.lr_scheduler


def _make(parameters: dict[str, nn.Parameter], config: SettledTraining) -> torch.optim.Optimizer:
    """The chosen optimiser; the text encoder has a learning rate of its own."""
    groups, kind = _groups(parameters, config), config.optimizer
    betas = (config.adam_beta1, config.adam_beta2)
    device = next(iter(parameters.values())).device.type
    if kind == "adamw":
        fused = device in ("cpu", "cuda")
        return torch.optim.AdamW(groups, betas=betas, weight_decay=config.adam_weight_decay, fused=fused)
    package = _imported(_PACKAGES[kind])
    if kind == "adamw8bit":
        if device not in ("cpu", "cuda"):
            raise StudioError("adapter.no_8bit", device=device)
        return package.optim.AdamW8bit(groups, betas=betas, weight_decay=config.adam_weight_decay)
    for group in groups:
        group["weight_decay"] = config.adam_weight_decay
    if kind == "prodigy":  # the two options are those that its authors advise for diffusion models
        return package.Prodigy(groups, betas=betas, use_bias_correction=True, safeguard_warmup=True)
    return package.AdamWScheduleFree(groups, betas=betas)


def _groups(parameters: dict[str, nn.Parameter], config: SettledTraining) -> list[dict[str, Any]]:
    # prodigy finds one pace for all of it and refuses groups of different rates
    text_rate = config.learning_rate if config.optimizer == "prodigy" else config.text_encoder_lr
    groups = []
    for part, rate in (("unet.", config.learning_rate), ("text_encoder.", text_rate)):
        members = [parameter for name, parameter in parameters.items() if name.startswith(part)]
        if members:
            groups.append({"params": members, "lr": rate, "base_lr": rate})
    return groups


def _imported(package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise StudioError("adapter.no_optimizer", package=package) from error
