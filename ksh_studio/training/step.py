"""One optimiser step: pick, noise, predict, compare, back, clip, move. Nothing in it waits for the device."""

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor, nn

from ksh_studio.config import TrainConfig
from ksh_studio.generation.encoding import encode_tokens
from ksh_studio.models.loading import Base
from ksh_studio.training.loss import TIMESTEPS, alphas_cumprod, noisy, snr_weights, target, weighted_mse
from ksh_studio.training.prepare import Prepared
from ksh_studio.training.sampler import batches, generator
from ksh_studio.training.schedule import lr_factor
from ksh_studio.training.session import Session

AHEAD = 256
"""Batches whose indices go to the device together."""


class Stepper:
    """Makes steps on the session's weights; everything it reads is resident."""

    def __init__(self, base: Base, data: Prepared, session: Session, chosen: list[int]) -> None:
        self.base, self.data, self.session, self.config = base, data, session, session.config
        alphas = alphas_cumprod()
        self.alphas = alphas.to(base.device)  # [1000]
        self.weights = snr_weights(alphas, self.config.snr_gamma, base.prediction_type).to(base.device)  # [1000]
        self.trained = list(session.parameters.values())
        self.fused = bool(session.optimizer.defaults["fused"])
        self.scaler = session.scaler
        drawn = session.step * self.config.gradient_accumulation_steps
        self.feed = feed(data, chosen, self.config, drawn)

    def __call__(self) -> Tensor:
        """Make the next step; returns [2] on the device: the loss, and 1 where the step was finite, else 0.

        A step whose gradient is not finite moves nothing.
        """
        config, session = self.config, self.session
        step = session.step + 1
        factor = lr_factor(config.lr_scheduler, step, config.max_train_steps, config.lr_warmup_steps)
        for group in session.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        loss = torch.zeros((), device=self.base.device)
        for micro in range(config.gradient_accumulation_steps):
            index = session.step * config.gradient_accumulation_steps + micro
            part = self.loss(*next(self.feed), index) / config.gradient_accumulation_steps
            self.scaler.scale(part).backward()
            loss += part.detach()
        finite = self._move(loss)
        session.step = step
        session.average()
        return torch.stack([loss, finite])

    def loss(self, bucket: int, items: Tensor, rows: Tensor, index: int) -> Tensor:
        """The loss of one batch; items: their indices, rows: their rows in the bucket's latents, both [B]."""
        config, device, data = self.config, self.base.device, self.data
        batch, sides = len(items), data.latents[bucket].shape[1]

        def random(stream: str) -> torch.Generator:
            return generator(config.seed, stream, index, device)

        side = torch.randint(sides, (batch,), generator=random("flip"), device=device)
        latents = data.latents[bucket][rows, side]  # [B, C, h, w]
        noise = _noise(latents, config.noise_offset, random("noise"))
        timesteps = torch.randint(TIMESTEPS, (batch,), generator=random("timesteps"), device=device)
        dropped = torch.rand(batch, generator=random("dropout"), device=device) < config.caption_dropout
        captions = torch.where(dropped, len(data.items), items)  # the row after the last is the empty caption
        return self.compare(latents, noise, timesteps, captions, self.weights[timesteps])

    def compare(self, latents: Tensor, noise: Tensor, timesteps: Tensor, captions: Tensor, weights: Tensor) -> Tensor:
        """How far the UNet's prediction for this noise at these timesteps is from what it should be."""
        base, alpha = self.base, self.alphas[timesteps]  # [B]
        with torch.autocast(base.device.type, base.dtype, enabled=base.dtype != torch.float32):
            words = self._words(captions)  # [B, 77 · chunks, width]
            predicted = base.unet(noisy(latents, noise, alpha), timesteps, words).sample
        return weighted_mse(predicted, target(latents, noise, alpha, base.prediction_type), weights)

    def _words(self, captions: Tensor) -> Tensor:
        if self.data.tokens is None:
            return self.data.embeddings[captions]
        return encode_tokens(self.base, self.data.tokens[captions], self.config.clip_skip)

    def _move(self, loss: Tensor) -> Tensor:
        """Clip, move the weights if everything is finite, forget the gradients; 1 if they moved, else 0."""
        optimizer = self.session.optimizer
        self.scaler.unscale_(optimizer) if self.scaler.is_enabled() else None
        norm = clip(self.trained, self.config.max_grad_norm)
        finite = torch.isfinite(norm + loss).float()
        if self.scaler.is_enabled():
            self.scaler.step(optimizer)
            self.scaler.update()
        elif self.fused:
            optimizer.found_inf = 1 - finite  # what GradScaler tells a fused optimiser: skip, on the device itself
            optimizer.step()
        elif bool(finite):  # a device without the fused kernel has to be asked
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return finite


def clip(parameters: list[nn.Parameter], max_norm: float) -> Tensor:
    """Shorten the gradient of all parameters together to `max_norm`; returns its length before, on the device.

    A list: a generator would be empty after its first use, and then nothing is clipped (diffusers' script has that).
    """
    return torch.nn.utils.clip_grad_norm_(parameters, max_norm)


def feed(data: Prepared, chosen: list[int], config: TrainConfig, drawn: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Endless (bucket, item indices [B], rows [B]) of the chosen items, beginning after `drawn` batches.

    Indices go to the device many batches at a time, so that no step copies anything.
    """
    device = data.embeddings.device
    stream = batches([data.place[item][0] for item in chosen], config.train_batch_size, config.seed)
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
