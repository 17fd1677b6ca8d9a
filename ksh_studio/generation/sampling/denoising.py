"""The denoising loop: a resolved request becomes pictures. Used by Generate and by the previews of training."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ksh_studio.config import GenerateConfig
from ksh_studio.errors import StudioError
from ksh_studio.generation.prompt.encoding import Encoded, encode_prompts
from ksh_studio.generation.prompt.parse import parse
from ksh_studio.generation.request import resolve
from ksh_studio.generation.sampling.samplers import make_scheduler

if TYPE_CHECKING:
    from ksh_studio.models.loading import Base


@dataclass(frozen=True)
class DenoisingStep:
    """The state after one step of the sampler."""

    done: int
    total: int
    latents: Tensor
    """[B, C, H/8, W/8] in fp32; those of the last step are the picture's."""
    clean: Tensor
    """The clean latents the model expects in the end, of the same shape, for `latent_preview`."""


class Interrupted(Exception):
    """The caller asked to end; nothing was decoded."""


OnStep = Callable[[DenoisingStep], bool]
"""Returns whether to go on."""


def draw(base: "Base", request: GenerateConfig, seeds: list[int], on_step: OnStep | None = None) -> list[Image.Image]:
    """One picture a seed, all in one batch. A picture does not depend on the others of its batch.

    request: settings that are None are the base model's own; its LoRA is not loaded here, what is attached to `base`
    acts. Noise is made on the CPU, one generator a picture, so that the same seed gives the same picture everywhere.
    Raises StudioError when the result is not finite, and Interrupted when `on_step` returned False.
    """
    request = resolve(request, base.entry)
    for step in denoise(base, request, encode_request(base, request), seeds):
        if on_step is not None and not on_step(step):
            raise Interrupted
    return [decode(base, one) for one in step.latents.split(1)]


@torch.no_grad()
def encode_request(base: "Base", request: GenerateConfig) -> Encoded:
    """Both prompts of a resolved request, encoded."""
    positive, negative = parse(request.prompt), parse(request.negative_prompt, negative=True)
    return encode_prompts(base, positive, negative, request.clip_skip)


@torch.no_grad()
def denoise(base: "Base", request: GenerateConfig, encoded: Encoded, seeds: list[int]) -> Iterator[DenoisingStep]:
    """The sampler's steps for a resolved request; one model call each."""
    scheduler = make_scheduler(request.sampler, request.schedule, base.prediction_type)
    scheduler.set_timesteps(request.num_inference_steps)
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    factor = 2 ** (len(base.vae.config.block_out_channels) - 1)
    shape = (1, base.unet.config.in_channels, request.height // factor, request.width // factor)
    noise = torch.cat([torch.randn(shape, generator=generator) for generator in generators])
    latents = noise.to(base.device) * scheduler.init_noise_sigma
    guide = _Guide(base, request.guidance_scale, encoded, len(seeds))
    extra = {"generator": generators} if request.sampler == "Euler a" else {}
    for number, timestep in enumerate(scheduler.timesteps, 1):
        predicted = guide(scheduler.scale_model_input(latents, timestep), timestep)
        done = scheduler.step(predicted, timestep, latents, **extra)
        latents = done.prev_sample
        clean = done.pred_original_sample if "pred_original_sample" in done else scheduler.model_outputs[-1]
        yield DenoisingStep(number, len(scheduler.timesteps), latents, clean)


@torch.no_grad()
def decode(base: "Base", latents: Tensor) -> Image.Image:
    """The picture of latents [1, C, H/8, W/8]; one at a time, so that memory does not grow with the batch.

    Raises StudioError when latents or picture are not finite: black pictures are never saved.
    """
    _check_finite(latents, base)
    scaled = latents / base.vae.config.scaling_factor + (getattr(base.vae.config, "shift_factor", None) or 0.0)
    decoded = base.vae.decode(scaled.to(base.vae.dtype)).sample.float()  # [1, 3, H, W]
    _check_finite(decoded, base)
    return _image(decoded[0].permute(1, 2, 0).cpu())


def latent_preview(base: "Base", clean: Tensor) -> list[Image.Image]:
    """Small pictures (one pixel a latent) of clean latents [B, C, h, w], by the base model's matrix; [] without one."""
    matrix = base.entry.latent_rgb
    if not matrix:
        return []
    rows = torch.tensor(matrix, dtype=torch.float32)
    channels = clean.shape[1]
    rgb = torch.einsum("bchw,cr->bhwr", clean.float().cpu(), rows[:channels])
    if len(rows) > channels:
        rgb += rows[channels]
    return [_image(one) for one in rgb]


class _Guide:
    """The UNet with classifier-free guidance; both prompts in one batch, one alone where guidance is 1."""

    def __init__(self, base: "Base", guidance_scale: float, encoded: Encoded, batch: int) -> None:
        self.base, self.scale, self.batch = base, guidance_scale, batch
        states = (
            [encoded.prompt_embeds] if guidance_scale == 1 else [encoded.negative_prompt_embeds, encoded.prompt_embeds]
        )
        self.states = torch.cat([state.expand(batch, -1, -1) for state in states]).to(base.dtype)

    def __call__(self, latents: Tensor, timestep: Tensor) -> Tensor:
        """The prediction in fp32 for latents [B, C, h, w]."""
        repeated = latents.repeat(len(self.states) // self.batch, 1, 1, 1).to(self.base.dtype)
        timesteps = timestep.to(self.base.device)
        predicted = self.base.unet(repeated, timesteps, encoder_hidden_states=self.states).sample.float()
        if self.scale == 1:
            return predicted
        without, with_prompt = predicted.chunk(2)
        return without + self.scale * (with_prompt - without)


def _check_finite(values: Tensor, base: "Base") -> None:
    if not bool(torch.isfinite(values).all()):
        raise StudioError("generate.not_finite", base=base.entry.label)


def _image(rgb: Tensor) -> Image.Image:
    """The picture of values [H, W, 3] in -1..1; values outside are cut, as every decoder's are."""
    values = ((rgb / 2 + 0.5).clamp(0, 1) * 255).round().numpy().astype(np.uint8)
    return Image.fromarray(values)
