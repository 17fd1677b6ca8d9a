"""Losses leave the device a few at a time: reading one waits for it, so a step never does."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ksh_studio.config import SettledTraining
from ksh_studio.errors import StudioError
from ksh_studio.events import Step, Warned
from ksh_studio.training.memory.measure import held_mb
from ksh_studio.training.step.state import BAD_STEPS, TrainingState

EVERY_SECONDS = 0.3
LOSS_DECAY = 0.98


@dataclass(frozen=True)
class _LoggedStep:
    step: int
    learning_rate: float
    seconds: float
    value: Tensor
    """[2] on the device: loss, and 1 where the step was finite."""


class StepLog:
    """Collects the losses of steps on the device, and reports them a few at a time."""

    def __init__(self, config: SettledTraining, device: torch.device) -> None:
        self.total, self.device = config.max_train_steps, device
        self.memory_mb = 0.0
        self.waiting: list[_LoggedStep] = []
        self.read_at = time.monotonic()

    def add(self, training_state: TrainingState, value: Tensor, seconds: float) -> None:
        """Keep what the newest step returned; nothing is read from the device."""
        rate = training_state.optimizer.learning_rate
        self.waiting.append(_LoggedStep(training_state.step, rate, seconds, value))

    def due(self, training_state: TrainingState, now: bool = False) -> Iterator[Step | Warned]:
        """One event for every step that waits, when the last ones were read long enough ago, or `now`.

        Raises StudioError when several steps in a row were not finite; none of them moved the weights.
        """
        if not self.waiting or not (now or time.monotonic() - self.read_at >= EVERY_SECONDS):
            return
        values = torch.stack([step.value for step in self.waiting]).tolist()
        steps, self.waiting, self.read_at = self.waiting, [], time.monotonic()
        self.memory_mb = max(self.memory_mb, round(held_mb(self.device), 1))
        for step, (loss, finite) in zip(steps, values, strict=True):
            yield from self._report(training_state, step, loss if finite else None)

    def _report(self, training_state: TrainingState, step: _LoggedStep, loss: float | None) -> Iterator[Step | Warned]:
        """The event of one step; a loss of None means that it was not finite, and the average stands in for it."""
        if loss is None:
            training_state.bad_steps += 1
            yield Warned.saying("train.not_finite", step=step.step)
            if training_state.bad_steps >= BAD_STEPS:
                rate = f"{training_state.config.learning_rate:.1e}"
                raise StudioError("train.diverged", step=step.step, count=BAD_STEPS, rate=rate)
        else:
            training_state.bad_steps = 0
            before = loss if training_state.loss_ema is None else training_state.loss_ema
            # a young average follows faster: over the first n steps it is their plain mean
            decay = min(LOSS_DECAY, 1 - 1 / step.step)
            training_state.loss_ema = decay * before + (1 - decay) * loss
        average = training_state.loss_ema or 0.0
        yield Step(
            step=step.step,
            total=self.total,
            loss=average if loss is None else loss,
            ema_loss=average,
            learning_rate=step.learning_rate,
            seconds=step.seconds,
            memory_mb=self.memory_mb,
        )
