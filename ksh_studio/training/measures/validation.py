"""The loss on drawings never trained on, at noise and timesteps that are the same at every measurement."""

from collections.abc import Iterator

import torch

from ksh_studio.events import Validated
from ksh_studio.training.random_streams import generator
from ksh_studio.training.step.state import TrainingState
from ksh_studio.training.step.step import Stepper

LEVELS = (125, 375, 625, 875)
"""Timesteps: the middles of four equal parts of the noise schedule."""


class Validation:
    """Plain mean squared error over the held-out items, unweighted."""

    def __init__(self, stepper: Stepper, items: list[int], measured: set[int]) -> None:
        """Measure on `items`, but for the steps `measured`: earlier processes of the job have done those."""
        self.stepper, self.items, self.measured = stepper, items, measured

    def measure(self, training_state: TrainingState) -> Iterator[Validated]:
        """One event, with the weights that would be saved; none when no drawing is held out."""
        if not self.items or training_state.step in self.measured:
            return
        self.measured.add(training_state.step)
        with torch.no_grad(), training_state.showing_result():
            losses = [self._loss(item, level, training_state.config.seed) for item in self.items for level in LEVELS]
        yield Validated(step=training_state.step, loss=torch.stack(losses).mean().item())

    def _loss(self, item: int, level: int, seed: int) -> torch.Tensor:
        stepper = self.stepper
        bucket, row = stepper.data.place[item]
        device = stepper.base.device
        latents = stepper.data.latents[bucket][row, :1]  # [1, C, h, w], not mirrored
        # by the drawing, not by its place: those added or taken away later must not change it
        index = int(stepper.data.items[item].digest[:12], 16) * 1000 + level
        random = generator(seed, "validation", index, device)
        noise = torch.randn(latents.shape, generator=random, device=device)
        timestep, caption = torch.tensor([level], device=device), torch.tensor([item], device=device)
        return stepper.loss(latents, noise, timestep, caption, torch.ones(1, device=device))
