"""The denoising loop, which makes pictures from a settled request, for Generate and for the previews of training."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ksh_studio.config import SettledGeneration
from ksh_studio.errors import StudioError
from ksh_studio.generation.interrupting import Interrupted
from ksh_studio.generation.prompt.encoding import Encoded, encode_prompts
from ksh_studio.generation.prompt.parse import parse_prompts
from ksh_studio.generation.sampling.samplers import make_scheduler

if TYPE_CHECKING:
    from ksh_studio.models.loading import Base

LATENTS_AT_ONCE = 64 * 64 * 16
"""Latents of all pictures together in one call of the UNet: 16 pictures of 512 x 512 pixels, 4 of 1024 x 1024."""


@dataclass(frozen=True)
class DenoisingStep:
    """The state after one step of the sampler."""

    done: int
    total: int
    latents: Tensor
    """[B, C, H/8, W/8] in fp32; the latents of the last step are decoded to pictures."""
    pred_original_sample: Tensor
    """The latents without noise as predicted at this step, of the same shape; for `latent_preview`."""


OnStep = Callable[[DenoisingStep], bool]
"""Returns whether to go on."""


def make_pictures(
    base: "Base", request: SettledGeneration, seeds: list[int], on_step: OnStep | None = None
) -> list[Image.Image]:
    """Make a picture for each seed, all in one batch. A picture does not depend on the others in its batch.

    request: its LoRA is not loaded here; the LoRA files that are attached to `base` are used.
    Raises StudioError when the result is not finite, and Interrupted when `on_step` returned False.
    """
    encoded = encode_prompts(base, parse_prompts(request.prompt, request.negative_prompt), request.clip_skip)
    for step in denoise(base, request, encoded, seeds):
        if on_step is not None and not on_step(step):
            raise Interrupted
    return [decode(base, latents) for latents in step.latents.split(1)]


@torch.no_grad()
def denoise(base: "Base", request: SettledGeneration, encoded: Encoded, seeds: list[int]) -> Iterator[DenoisingStep]:
    """Yield the sampler's steps, each with one call of the UNet, for a batch with one picture for each seed.

    Noise is made on the CPU, with a generator for each picture, so that a seed gives the same picture everywhere.
    """
    scheduler = make_scheduler(request.sampler, request.schedule, base.prediction_type)
    scheduler.set_timesteps(request.num_inference_steps)
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    factor = 2 ** (len(base.vae.config.block_out_channels) - 1)
    shape = (1, base.unet.config.in_channels, request.height // factor, request.width // factor)
    noise = torch.cat([torch.randn(shape, generator=generator) for generator in generators])
    latents = noise.to(base.device) * scheduler.init_noise_sigma
    predict = _GuidedUNet(base, request.guidance_scale, encoded)
    extra = {"generator": generators} if request.sampler == "Euler a" else {}
    for number, timestep in enumerate(scheduler.timesteps, 1):
        noise_pred = predict(scheduler.scale_model_input(latents, timestep), timestep)
        output = scheduler.step(noise_pred, timestep, latents, **extra)
        latents = output.prev_sample
        in_output = "pred_original_sample" in output  # DPM++ and UniPC keep it in the scheduler instead
        pred_original_sample = output.pred_original_sample if in_output else scheduler.model_outputs[-1]
        yield DenoisingStep(number, len(scheduler.timesteps), latents, pred_original_sample)


@torch.no_grad()
def decode(base: "Base", latents: Tensor) -> Image.Image:
    """Decode the latents [1, C, H/8, W/8] of one picture: one at a time, so that memory does not grow with the batch.

    Raises StudioError when the latents or the picture are not finite, so that no black picture is saved.
    """
    _check_finite(latents, base)
    scaled = latents / base.vae.config.scaling_factor + (getattr(base.vae.config, "shift_factor", None) or 0.0)
    decoded = base.vae.decode(scaled.to(base.vae.dtype)).sample.float()  # [1, 3, H, W]
    _check_finite(decoded, base)
    return _image(decoded[0].permute(1, 2, 0).cpu())


def latent_preview(base: "Base", latents: Tensor) -> list[Image.Image]:
    """Small pictures, one pixel for each latent, of latents [B, C, h, w] without noise.

    The list is empty for a base model without a latent matrix.
    """
    matrix = base.entry.latent_rgb
    if not matrix:
        return []
    rows = torch.tensor(matrix, dtype=torch.float32)
    channels = latents.shape[1]
    rgb = torch.einsum("bchw,cr->bhwr", latents.float().cpu(), rows[:channels])
    if len(rows) > channels:
        rgb += rows[channels]
    return [_image(one) for one in rgb]


class _GuidedUNet:
    """The UNet with classifier-free guidance (arXiv:2207.12598); at a scale of 1 only the positive prompt is used."""

    def __init__(self, base: "Base", guidance_scale: float, encoded: Encoded) -> None:
        self.base, self.guidance_scale = base, guidance_scale
        embeds = (
            [encoded.prompt_embeds] if guidance_scale == 1 else [encoded.negative_prompt_embeds, encoded.prompt_embeds]
        )
        self.embeds = [one.to(base.dtype) for one in embeds]

    def __call__(self, latents: Tensor, timestep: Tensor) -> Tensor:
        """The prediction in fp32 for latents [B, C, h, w]; as many pictures at once as LATENTS_AT_ONCE allows."""
        few = max(1, LATENTS_AT_ONCE // latents[0, 0].numel())
        timestep = timestep.to(self.base.device)
        return torch.cat([self._predict(part, timestep) for part in latents.split(few)])

    def _predict(self, latents: Tensor, timestep: Tensor) -> Tensor:
        states = torch.cat([one.expand(len(latents), -1, -1) for one in self.embeds])
        repeated = latents.repeat(len(self.embeds), 1, 1, 1).to(self.base.dtype)
        noise_pred = self.base.unet(repeated, timestep, encoder_hidden_states=states).sample.float()
        if self.guidance_scale == 1:
            return noise_pred
        noise_pred_uncond, noise_pred_text = noise_pred.chunk(2)
        return noise_pred_uncond + self.guidance_scale * (noise_pred_text - noise_pred_uncond)


def _check_finite(values: Tensor, base: "Base") -> None:
    if not bool(torch.isfinite(values).all()):
        raise StudioError("generate.not_finite", base=base.entry.label)


def _image(rgb: Tensor) -> Image.Image:
    """The picture of values [H, W, 3] in -1..1; values outside are clipped."""
    values = ((rgb / 2 + 0.5).clamp(0, 1) * 255).round().numpy().astype(np.uint8)
    return Image.fromarray(values)
