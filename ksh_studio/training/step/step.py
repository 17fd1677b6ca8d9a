"""One optimiser step: pick, noise, predict, compare, back, clip, move. Nothing in it waits for the device."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ksh_studio.config import SettledTraining
from ksh_studio.generation.prompt.encoding import encode_tokens
from ksh_studio.models.loading import Base
from ksh_studio.training.data.batches import batches
from ksh_studio.training.data.encode import Prepared
from ksh_studio.training.processes.group import ALONE, Group
from ksh_studio.training.random_streams import Stream, generator
from ksh_studio.training.step.learning_rate import lr_factor
from ksh_studio.training.step.loss import TIMESTEPS, alphas_cumprod, noisy, snr_weights, target, weighted_mse
from ksh_studio.training.step.optimizers import schedule_of
from ksh_studio.training.step.state import Session

AHEAD = 256
"""Batches whose indices go to the device together."""


class Batch(NamedTuple):
    """One batch as it is compared, everything random about it drawn."""

    latents: Tensor
    """[B, C, h, w]."""
    noise: Tensor
    """[B, C, h, w]."""
    timesteps: Tensor
    """[B]."""
    captions: Tensor
    """[B]: rows of the embeddings."""
    weights: Tensor
    """[B]: how much each loss counts."""


class Stepper:
    """Makes steps on the session's weights; everything it reads is resident."""

    split: int = 1
    """Parts in which a process computes its batch, one after the other: less memory, the same gradient."""

    def __init__(self, base: Base, data: Prepared, session: Session, chosen: list[int], group: Group = ALONE) -> None:
        """Chosen: items that are trained on; group: the processes that train together, this one among them."""
        self.base, self.data, self.session, self.config = base, data, session, session.config
        self.group = group
        alphas = alphas_cumprod()
        self.alphas = alphas.to(base.device)  # [1000]
        self.weights = snr_weights(alphas, self.config.snr_gamma, base.prediction_type).to(base.device)  # [1000]
        self.trained = list(session.parameters.values())
        self.scaler = session.scaler
        drawn = session.step * self.config.gradient_accumulation_steps
        self.feed = feed(data, chosen, self.config, drawn)

    def __call__(self) -> Tensor:
        """Make the next step; returns [2] on the device: the loss, and 1 where the step was finite, else 0.

        A step whose gradient is not finite moves nothing.
        """
        config, session = self.config, self.session
        step = session.step + 1
        factor = lr_factor(schedule_of(config), step, config.max_train_steps, config.lr_warmup_steps)
        for group in session.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        loss = torch.zeros((), device=self.base.device)
        for micro in range(config.gradient_accumulation_steps):
            index = session.step * config.gradient_accumulation_steps + micro
            batch = self.draw(*next(self.feed), index)
            for part, share in self._parts(batch):
                value = self.compare(*part) * (share / config.gradient_accumulation_steps)
                self.scaler.scale(value).backward()
                loss += value.detach()
        finite = self._move(loss)
        session.step = step
        session.average()
        return torch.stack([loss, finite])

    def draw(self, bucket: int, items: Tensor, rows: Tensor, index: int) -> Batch:
        """The batch of micro-step `index` over all processes.

        items: their indices, rows: their rows in the bucket's latents, both [B]. Every process draws the whole batch,
        so that what is drawn does not depend on how many there are.
        """
        config, device, data = self.config, self.base.device, self.data
        batch, sides, variants = len(items), data.latents[bucket].shape[1], data.captions.shape[1]

        def random(stream: Stream) -> torch.Generator:
            return generator(config.seed, stream, index, device)

        side = torch.randint(sides, (batch,), generator=random("flip"), device=device)
        latents = data.latents[bucket][rows, side]  # [B, C, h, w]
        noise = _noise(latents, config.noise_offset, random("noise"))
        timesteps = torch.randint(TIMESTEPS, (batch,), generator=random("timesteps"), device=device)
        variant = torch.randint(variants, (batch,), generator=random("variant"), device=device)
        dropped = torch.rand(batch, generator=random("dropout"), device=device) < config.caption_dropout
        captions = torch.where(dropped, data.empty, data.captions[items, variant])
        return Batch(latents, noise, timesteps, captions, self.weights[timesteps])

    def compare(self, latents: Tensor, noise: Tensor, timesteps: Tensor, captions: Tensor, weights: Tensor) -> Tensor:
        """How far the UNet's prediction for this noise at these timesteps is from what it should be."""
        base, alpha = self.base, self.alphas[timesteps]  # [B]
        with self._precision():
            words = self._words(captions)  # [B, 77 · chunks, width]
            predicted = base.unet(noisy(latents, noise, alpha), timesteps, words).sample
        return weighted_mse(predicted, target(latents, noise, alpha, base.prediction_type), weights)

    def _parts(self, batch: Batch) -> Iterator[tuple[Batch, float]]:
        """This process's share of a batch in `split` parts, each with its share of the mean."""
        size = self.config.train_batch_size
        first, count = self.group.rank * size, min(self.split, size)
        cuts = [first + size * n // count for n in range(count + 1)]
        for start, end in zip(cuts, cuts[1:], strict=False):
            yield Batch(*(values[start:end] for values in batch)), (end - start) / size

    def _precision(self) -> AbstractContextManager:
        """The base computes in its own precision; what must stay exact stays fp32."""
        if self.base.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.base.device.type, self.base.dtype)

    def _words(self, captions: Tensor) -> Tensor:
        if self.data.tokens is None:
            return self.data.embeddings[captions]
        return encode_tokens(self.base, self.data.tokens[captions], self.config.clip_skip)

    def _move(self, loss: Tensor) -> Tensor:
        """Clip, move the weights if everything is finite, forget the gradients; 1 if they moved, else 0.

        The loss becomes the mean over all processes, as the gradients do.
        """
        optimizer = self.session.optimizer
        self.group.average([*(one.grad for one in self.trained if one.grad is not None), loss])
        self.scaler.unscale_(optimizer.inner) if self.scaler.is_enabled() else None
        norm = clip(self.trained, self.config.max_grad_norm)
        finite = torch.isfinite(norm + loss).float()
        optimizer.step(finite, self.scaler)
        optimizer.zero_grad(set_to_none=True)
        return finite


def clip(parameters: list[nn.Parameter], max_norm: float) -> Tensor:
    """Shorten the gradient of all parameters together to `max_norm`; returns its length before, on the device.

    A list: a generator would be empty after its first use, and then nothing is clipped (diffusers' script has that).
    """
    return torch.nn.utils.clip_grad_norm_(parameters, max_norm)


def feed(
    data: Prepared, chosen: list[int], config: SettledTraining, drawn: int
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Endless (bucket, item indices [B], rows [B]) of the chosen items, beginning after `drawn` batches.

    B is the batch of all processes together. Indices go to the device many batches at a time, so that no step copies
    anything.
    """
    device = data.embeddings.device
    size = config.train_batch_size * config.num_processes
    stream = batches([data.place[item][0] for item in chosen], size, config.seed)
    stream = islice(stream, drawn, None)
    while True:
        ahead = [[chosen[n] for n in batch] for batch in islice(stream, AHEAD)]
        items = torch.tensor(ahead, device=device)  # [AHEAD, B]
        rows = torch.tensor([[data.place[item][1] for item in batch] for batch in ahead], device=device)
        for n, batch in enumerate(ahead):
            yield data.place[batch[0]][0], items[n], rows[n]


def _noise(latents: Tensor, offset: float, random: torch.Generator) -> Tensor:
    noise = torch.randn(latents.shape, generator=random, device=latents.device)
    if offset:
        noise = noise + offset * torch.randn((*latents.shape[:2], 1, 1), generator=random, device=latents.device)
    return noise
