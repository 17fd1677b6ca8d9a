"""What a training is at one moment: weights, optimiser, average and counters; all of it to a checkpoint and back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ksh_studio.config import SettledTraining
from ksh_studio.errors import StudioError
from ksh_studio.training.checkpoint import Saved
from ksh_studio.training.step.optimizers import Optimizer

BAD_STEPS = 5
"""Steps in a row without a finite gradient that end a run."""


class TrainingState:
    """The moving parts of one run.

    The random streams need no place here: they follow from the seed and the step.
    """

    def __init__(self, parameters: dict[str, nn.Parameter], config: SettledTraining, dtype: torch.dtype) -> None:
        self.parameters = parameters
        self.config = config
        self.optimizer = Optimizer(parameters, config)
        device = next(iter(parameters.values())).device.type
        self.scaler = torch.amp.GradScaler(device, init_scale=2.0**12, enabled=dtype == torch.float16)
        averaged = config.ema_decay and not self.optimizer.averages  # one average is enough
        self.ema = {name: p.detach().clone() for name, p in parameters.items()} if averaged else {}
        self.step = 0
        self.loss_ema: float | None = None
        self.bad_steps = 0
        self.seconds = 0.0
        """Spent by earlier processes."""

    @torch.no_grad()
    def average(self) -> None:
        """Move the average a little towards the weights; the more so the younger it is."""
        if self.ema:
            decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
            torch._foreach_lerp_(list(self.ema.values()), list(self.parameters.values()), 1 - decay)

    def result(self) -> dict[str, Tensor]:
        """The weights that are saved and previewed: the average, or the weights themselves where there is none."""
        if self.ema:
            return self.ema
        with self.optimizer.showing_average():
            copied = self.optimizer.averages  # they go back to what they were when the block ends
            return {name: p.detach().clone() if copied else p.detach() for name, p in self.parameters.items()}

    @contextmanager
    def showing_result(self) -> Iterator[None]:
        """The base draws with what would be saved while the block runs; the weights then go on bit for bit."""
        before = {name: parameter.detach().clone() for name, parameter in self.parameters.items()} if self.ema else {}
        with self.optimizer.showing_average():
            try:
                self._put(self.ema)
                yield
            finally:
                self._put(before)

    def tensors(self) -> dict[str, Tensor]:
        """Everything of the state that is a tensor, by name."""
        tensors: dict[str, Tensor] = {f"weight/{name}": p.detach() for name, p in self.parameters.items()}
        tensors |= {f"ema/{name}": value for name, value in self.ema.items()}
        return tensors | {f"adam/{key}": value for key, value in self.optimizer.tensors().items()}

    def state(self) -> dict[str, Any]:
        """The rest of the state: counters."""
        return {"step": self.step, "loss_ema": self.loss_ema, "bad_steps": self.bad_steps, "seconds": self.seconds,
                "scaler": self.scaler.state_dict(), "optimizer": self.optimizer.numbers(),
                "kind": self.config.optimizer}  # fmt: skip

    def restore(self, saved: Saved) -> None:
        """Go on from a checkpoint. Raises StudioError when it is of a LoRA of another rank, target or base."""
        weights = {name.removeprefix("weight/"): t for name, t in saved.tensors.items() if name.startswith("weight/")}
        shapes = {name: parameter.shape for name, parameter in self.parameters.items()}
        if {name: tensor.shape for name, tensor in weights.items()} != shapes:
            raise StudioError("train.other_lora", name=saved.path.name)
        self._put(weights)
        for name, average in self.ema.items():
            average.copy_(saved.tensors.get(f"ema/{name}", weights[name]))
        if saved.state.get("kind", "adamw") == self.config.optimizer:  # another one begins afresh
            states = {name.removeprefix("adam/"): t for name, t in saved.tensors.items() if name.startswith("adam/")}
            self.optimizer.restore(states, saved.state.get("optimizer", {}))
        for name in ("step", "loss_ema", "bad_steps", "seconds"):
            setattr(self, name, saved.state[name])
        self.scaler.load_state_dict(saved.state["scaler"]) if self.scaler.is_enabled() else None

    @torch.no_grad()
    def _put(self, values: dict[str, Tensor]) -> None:
        for name, value in values.items():
            self.parameters[name].copy_(value)
