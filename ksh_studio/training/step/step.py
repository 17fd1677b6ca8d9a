"""One optimiser step, from a batch of latents to moved weights. Nothing in it waits for the device."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ksh_studio.config import SettledTraining
from ksh_studio.generation.prompt.encoding import encode_tokens
from ksh_studio.models.loading import Base
from ksh_studio.models.noise_schedule import NUM_TRAIN_TIMESTEPS, alphas_cumprod
from ksh_studio.training.data.batches import batches
from ksh_studio.training.data.encode import EncodedDrawings
from ksh_studio.training.processes.group import ALONE, Group
from ksh_studio.training.random_streams import Stream, generator
from ksh_studio.training.step.learning_rate import lr_factor
from ksh_studio.training.step.loss import add_noise, prediction_target, snr_weights, weighted_mse
from ksh_studio.training.step.optimizers import schedule_of
from ksh_studio.training.step.state import TrainingState

AHEAD = 256
"""Batches whose indices go to the device together."""


class Batch(NamedTuple):
    """What the loss of one batch is computed from; every random choice is made."""

    latents: Tensor
    """[B, C, h, w]."""
    noise: Tensor
    """[B, C, h, w]."""
    timesteps: Tensor
    """[B]."""
    captions: Tensor
    """[B]: rows of the embeddings."""
    weights: Tensor
    """[B]: how much each sample's loss counts."""


class Stepper:
    """Makes steps on the session's weights; everything it reads is resident."""

    split: int = 1
    """Parts in which a process computes its batch, one after the other: less memory, the same gradient."""

    def __init__(
        self, base: Base, data: EncodedDrawings, training_state: TrainingState, trained: list[int], group: Group = ALONE
    ) -> None:
        """Begin where the training_state stands, on the items `trained`, as one of the processes of `group`."""
        self.base, self.data, self.training_state, self.config = base, data, training_state, training_state.config
        self.group = group
        alphas = torch.from_numpy(alphas_cumprod()).float()
        weights = snr_weights(alphas, self.config.snr_gamma, base.prediction_type)
        self.alphas_cumprod, self.loss_weights = alphas.to(base.device), weights.to(base.device)  # [1000] each
        self.parameters = list(training_state.parameters.values())
        self.scaler = training_state.scaler
        used = training_state.step * self.config.gradient_accumulation_steps
        self.batches = device_batches(data, trained, self.config, used)

    def __call__(self) -> Tensor:
        """Make the next step; returns [2] on the device: the loss, and 1 where the step was finite, else 0.

        A step whose gradient is not finite moves nothing.
        """
        config, training_state = self.config, self.training_state
        step = training_state.step + 1
        factor = lr_factor(schedule_of(config), step, config.max_train_steps, config.lr_warmup_steps)
        for group in training_state.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        total_loss = torch.zeros((), device=self.base.device)
        for micro in range(config.gradient_accumulation_steps):
            index = training_state.step * config.gradient_accumulation_steps + micro
            batch = self.sample_batch(*next(self.batches), index)
            for part, share in self._parts(batch):
                loss = self.loss(*part) * (share / config.gradient_accumulation_steps)
                self.scaler.scale(loss).backward()
                total_loss += loss.detach()
        finite = self._update_weights(total_loss)
        training_state.step = step
        training_state.average()
        return torch.stack([total_loss, finite])

    def sample_batch(self, bucket: int, items: Tensor, rows: Tensor, index: int) -> Batch:
        """Choose mirroring, noise, timesteps and captions for micro-step `index`.

        `items` are indices of the batch's items, `rows` their rows in the bucket's latents, both [B]. Every process
        makes the batch of all processes, so that it does not depend on how many there are.
        """
        config, device, data = self.config, self.base.device, self.data
        batch_size, sides, orders = len(items), data.latents[bucket].shape[1], data.captions.shape[1]

        def random(stream: Stream) -> torch.Generator:
            return generator(config.seed, stream, index, device)

        side = torch.randint(sides, (batch_size,), generator=random("flip"), device=device)
        latents = data.latents[bucket][rows, side]  # [B, C, h, w]
        noise = _noise(latents, config.noise_offset, random("noise"))
        timesteps = torch.randint(NUM_TRAIN_TIMESTEPS, (batch_size,), generator=random("timesteps"), device=device)
        order = torch.randint(orders, (batch_size,), generator=random("variant"), device=device)
        dropped = torch.rand(batch_size, generator=random("dropout"), device=device) < config.caption_dropout
        captions = torch.where(dropped, data.empty, data.captions[items, order])
        return Batch(latents, noise, timesteps, captions, self.loss_weights[timesteps])

    def loss(self, latents: Tensor, noise: Tensor, timesteps: Tensor, captions: Tensor, weights: Tensor) -> Tensor:
        """The training objective of a batch, [].

        With latents x, noise e, timestep t, caption c, loss weight w and a = alphas_cumprod[t]:

            x_t    = sqrt(a) x + sqrt(1 - a) e
            target = e  (epsilon)   or   sqrt(a) e - sqrt(1 - a) x  (v_prediction)
            loss   = mean over the batch of  w · mean((unet(x_t, t, c) - target)²)

        Ho et al. 2020, arXiv:2006.11239, equation 14, with the weights of `snr_weights`.
        """
        base, alpha = self.base, self.alphas_cumprod[timesteps]  # [B]
        with self._autocast():
            encoder_hidden_states = self._encoder_hidden_states(captions)  # [B, 77 · chunks, width]
            noisy_latents = add_noise(latents, noise, alpha)
            model_pred = base.unet(noisy_latents, timesteps, encoder_hidden_states).sample
        target = prediction_target(latents, noise, alpha, base.prediction_type)
        return weighted_mse(model_pred, target, weights)

    def _parts(self, batch: Batch) -> Iterator[tuple[Batch, float]]:
        """This process's share of a batch in `split` parts, each with its share of the mean."""
        size = self.config.train_batch_size
        first, count = self.group.rank * size, min(self.split, size)
        cuts = [first + size * n // count for n in range(count + 1)]
        for start, end in zip(cuts, cuts[1:], strict=False):
            yield Batch(*(values[start:end] for values in batch)), (end - start) / size

    def _autocast(self) -> AbstractContextManager:
        """The base computes in its own precision; what must stay exact stays fp32."""
        if self.base.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.base.device.type, self.base.dtype)

    def _encoder_hidden_states(self, captions: Tensor) -> Tensor:
        """Embeddings of captions given by their rows [B]: the cached ones, or fresh where the text encoder learns."""
        if self.data.tokens is None:
            return self.data.embeddings[captions]
        return encode_tokens(self.base, self.data.tokens[captions], self.config.clip_skip)

    def _update_weights(self, loss: Tensor) -> Tensor:
        """Clip the gradients, let the optimiser step if all is finite, clear them; returns 1 if it stepped, else 0.

        `loss` becomes the mean over all processes, as the gradients do.
        """
        optimizer = self.training_state.optimizer
        self.group.average([*(one.grad for one in self.parameters if one.grad is not None), loss])
        self.scaler.unscale_(optimizer.inner) if self.scaler.is_enabled() else None
        norm = clip(self.parameters, self.config.max_grad_norm)
        finite = torch.isfinite(norm + loss).float()
        optimizer.step(finite, self.scaler)
        optimizer.zero_grad(set_to_none=True)
        return finite


def clip(parameters: list[nn.Parameter], max_norm: float) -> Tensor:
    """Shorten the gradient of all parameters together to `max_norm`; returns its length before, on the device.

    A list: a generator would be empty after its first use, and then nothing is clipped (diffusers' script has that).
    """
    return torch.nn.utils.clip_grad_norm_(parameters, max_norm)


def device_batches(
    data: EncodedDrawings, trained: list[int], config: SettledTraining, used: int
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Endless (bucket, item indices [B], rows [B]) of the items `trained`, after the `used` batches of earlier steps.

    B is the batch of all processes together. Indices go to the device many batches at a time, so that no step copies
    anything.
    """
    device = data.embeddings.device
    batch_size = config.train_batch_size * config.num_processes
    endless = batches([data.place[item][0] for item in trained], batch_size, config.seed)
    endless = islice(endless, used, None)
    while True:
        ahead = [[trained[n] for n in batch] for batch in islice(endless, AHEAD)]
        items = torch.tensor(ahead, device=device)  # [AHEAD, B]
        rows = torch.tensor([[data.place[item][1] for item in batch] for batch in ahead], device=device)
        for n, batch in enumerate(ahead):
            yield data.place[batch[0]][0], items[n], rows[n]


def _noise(latents: Tensor, offset: float, random: torch.Generator) -> Tensor:
    noise = torch.randn(latents.shape, generator=random, device=latents.device)
    if offset:
        noise = noise + offset * torch.randn((*latents.shape[:2], 1, 1), generator=random, device=latents.device)
    return noise
