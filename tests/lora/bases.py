"""A tiny base, what it computes at fixed input, and how far two such results are apart."""

from types import SimpleNamespace

import torch
from diffusers import StableDiffusionPipeline


def tiny_base(folder):
    """The base in `folder`, loaded anew: (its pipeline, what our functions take)."""
    pipe = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    return pipe, SimpleNamespace(entry=SimpleNamespace(name="tiny"), unet=pipe.unet, text_encoder=pipe.text_encoder)


def outputs(base):
    """UNet output [1, 4, 8, 8] and text encoder output [1, 77, 32] of a base or a pipeline."""
    generator = torch.Generator().manual_seed(7)
    sample, context = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 77, 32, generator=generator)
    with torch.no_grad():
        unet = base.unet(sample, torch.tensor([500]), context).sample
        return unet, base.text_encoder(torch.arange(77)[None] % 50).last_hidden_state


def distances(one, other):
    """Largest absolute difference of each output."""
    return [(a - b).abs().max().item() for a, b in zip(one, other, strict=True)]


def distance(one, other):
    """The largest of all."""
    return max(distances(one, other))
