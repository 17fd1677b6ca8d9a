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
from ksh_studio.training.step.state import BAD_STEPS, Session

EVERY_SECONDS = 0.3
LOSS_DECAY = 0.98


@dataclass(frozen=True)
class _Reading:
    step: int
    learning_rate: float
    seconds: float
    value: Tensor
    """[2] on the device: loss, and 1 where the step was finite."""


class Readings:
    """Steps made but not yet told."""

    def __init__(self, config: SettledTraining, device: torch.device) -> None:
        self.total, self.device = config.max_train_steps, device
        self.memory_mb = 0.0
        self.waiting: list[_Reading] = []
        self.read_at = time.monotonic()

    def add(self, session: Session, value: Tensor, seconds: float) -> None:
        """Keep what the step just made returned; nothing is read."""
        rate = session.optimizer.learning_rate
        self.waiting.append(_Reading(session.step, rate, seconds, value))

    def due(self, session: Session, now: bool = False) -> Iterator[Step | Warned]:
        """One event for every step that waits, when the last reading is long enough ago or `now`.

        Raises StudioError when several steps in a row were not finite; none of them moved the weights.
        """
        if not self.waiting or not (now or time.monotonic() - self.read_at >= EVERY_SECONDS):
            return
        values = torch.stack([reading.value for reading in self.waiting]).tolist()
        told, self.waiting, self.read_at = self.waiting, [], time.monotonic()
        self.memory_mb = max(self.memory_mb, round(held_mb(self.device), 1))
        for reading, (loss, finite) in zip(told, values, strict=True):
            yield from self._tell(session, reading, loss if finite else None)

    def _tell(self, session: Session, reading: _Reading, loss: float | None) -> Iterator[Step | Warned]:
        """Tell one step; loss None means not finite: it is told with the average loss, which is what is known of it."""
        if loss is None:
            session.bad_steps += 1
            yield Warned.saying("train.not_finite", step=reading.step)
            if session.bad_steps >= BAD_STEPS:
                rate = f"{session.config.learning_rate:.1e}"
                raise StudioError("train.diverged", step=reading.step, count=BAD_STEPS, rate=rate)
        else:
            session.bad_steps = 0
            before = loss if session.loss_ema is None else session.loss_ema
            # a young average follows faster: over the first n steps it is their plain mean
            decay = min(LOSS_DECAY, 1 - 1 / reading.step)
            session.loss_ema = decay * before + (1 - decay) * loss
        average = session.loss_ema or 0.0
        yield Step(
            step=reading.step,
            total=self.total,
            loss=average if loss is None else loss,
            ema_loss=average,
            learning_rate=reading.learning_rate,
            seconds=reading.seconds,
            memory_mb=self.memory_mb,
        )
