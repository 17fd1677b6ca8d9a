"""Measures how close pictures are to the artist's drawings, with the base model's autoencoder and no other network.

A picture's style features are statistics of the VAE encoder's activations, for each channel of each level. They depend
on strokes, contrast, texture and shading, not on where things are in the picture (statistics of activations as style:
Gatys et al. 2016; means and deviations alone: Huang and Belongie 2017, arXiv:1703.06868; whole distributions: Heitz et
al. 2021, arXiv:2006.07229).
The mean of a channel is left out, because it depends on the colours of hair and background, which the caption gives.

Pictures are compared as a set: how far the middle of their features lies from the middle of the drawings', in
units of the drawings' own spread (a Mahalanobis distance, regularised since there are fewer drawings than dimensions).
Differences in what varies among the drawings, the content, therefore count little; differences in what they have in
common, the style, count much.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

VERSION = 1
"""Version of the features: part of the key under which they are cached."""
QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
POSITIONS = 128
"""The most rows and columns of a level that are used; they are evenly spaced."""
LEAST_DRAWINGS = 8
"""Fewer drawings do not show what they have in common."""
RIDGE = 0.1
"""Added to every variance, as a share of the mean one; anything from 0.03 to 3 tells artists apart about as well."""
SPLITS = 16
"""How often a few drawings are set aside to measure how close drawings are to each other."""
LEAST_GAP = 1.1
"""The base's pictures must be this many times as far away as drawings are from each other; otherwise the score would be
chance."""


def picture_tensor(picture: Image.Image, side: int, multiple: int) -> Tensor:
    """The picture as [3, H, W] in -1..1, H and W multiples of `multiple`; shrunk to about side² pixels where larger.

    The strokes of a large picture then have a width in pixels that can be compared. A smaller picture is not enlarged,
    because that would blur it.
    """
    scale = min(1.0, side / (picture.width * picture.height) ** 0.5)
    width, height = (max(multiple, round(old * scale / multiple) * multiple) for old in picture.size)
    shrunk = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(shrunk, dtype=np.float32) / 127.5 - 1).permute(2, 0, 1)


@torch.no_grad()
def style_features(vae: "AutoencoderKL", picture: Tensor) -> Tensor:
    """The style features [F] of a picture [3, H, W] in -1..1, in fp32 on the CPU; F depends on the autoencoder only.

    They are, for each channel of each level, seven quantiles around its mean and the logarithm of its deviation.
    """
    with _encoder_outputs(vae) as outputs:
        vae.encoder(picture[None].to(next(vae.parameters()).device, vae.dtype))
    at = torch.tensor(QUANTILES)
    parts = []
    for values in outputs:
        step = -(-max(values.shape[-2:]) // POSITIONS)
        spread = values[0, :, ::step, ::step].flatten(1).float().cpu()  # [C, positions]
        spread = spread - spread.mean(1, keepdim=True)
        parts += [torch.quantile(spread, at, dim=1).flatten(), (spread.std(1) + 1e-3).log()]
    return torch.cat(parts)


@contextmanager
def _encoder_outputs(vae: "AutoencoderKL") -> Iterator[list[Tensor]]:
    """The output of each level of the encoder, [1, C, h, w], before it is scaled down, and of its middle block."""
    blocks = [*(block.resnets[-1] for block in vae.encoder.down_blocks), vae.encoder.mid_block]
    outputs: list[Tensor] = []
    hooks = [block.register_forward_hook(lambda _, __, output: outputs.append(output)) for block in blocks]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


class Likeness:
    """Scores sets of pictures between what the base model draws without a LoRA and one artist's drawings."""

    def __init__(self, drawings: Tensor, base: Tensor) -> None:
        """Take the features of drawings [N, F] and of pictures that the base made without a LoRA [K, F].

        Raises ValueError when there are fewer drawings than LEAST_DRAWINGS or K + 2, or no picture.
        """
        self.pictures = len(base)
        if len(drawings) < max(LEAST_DRAWINGS, self.pictures + 2) or not self.pictures:
            raise ValueError(f"{len(drawings)} drawings and {self.pictures} pictures are too few to compare")
        drawings = drawings.double()
        self.distance = _Distance(drawings)
        self.between_drawings = _distance_between(drawings, self.pictures)
        self.base = self.distance(base.double())

    @property
    def is_meaningful(self) -> bool:
        """Whether the base's pictures are far enough away that coming closer means something."""
        return self.base > LEAST_GAP * self.between_drawings

    def score(self, pictures: Tensor) -> float:
        """How far K pictures with features [K, F] have come from the base's pictures towards the drawings.

        At 0 they are as far away as the base's pictures, at 1 as close as drawings are to each other. Below 0 they are
        further away than the base's; above 1 they are closer than new drawings would be, as copies are. Raises
        ValueError when K differs from the number of the base's pictures: the mean of fewer lies further off by chance.
        """
        if len(pictures) != self.pictures:
            raise ValueError(f"{len(pictures)} pictures cannot be compared with {self.pictures} of the base")
        return (self.base - self.distance(pictures.double())) / (self.base - self.between_drawings)


class _Distance:
    """The Mahalanobis distance to the mean of drawings [N, F], by the N · N matrix of their products."""

    def __init__(self, drawings: Tensor) -> None:
        count = len(drawings)
        self.middle = drawings.mean(0)
        deviation = (drawings - self.middle).square().mean(0).sqrt()
        self.scale = deviation + 0.1 * deviation.mean()  # a channel that never varies must not decide alone
        self.drawings = (drawings - self.middle) / self.scale  # [N, F]
        products = self.drawings @ self.drawings.T
        # the trace is 0 when all drawings are the same
        self.ridge = max(RIDGE * float(products.trace()) / count**2, 1e-12)
        self.inverse = torch.linalg.inv(products + count * self.ridge * torch.eye(count, dtype=products.dtype))

    def __call__(self, pictures: Tensor) -> float:
        """The distance of the mean of pictures [K, F]."""
        away = (pictures.mean(0) - self.middle) / self.scale
        along = self.drawings @ away
        # Woodbury: (XᵀX / n + r)⁻¹ = (1 - Xᵀ (XXᵀ + n r)⁻¹ X) / r
        squared = (away @ away - along @ self.inverse @ along) / self.ridge / len(away)
        return float(squared.clamp_min(0).sqrt())


def _distance_between(drawings: Tensor, count: int) -> float:
    """The mean distance of `count` drawings from all others, over SPLITS splits that are the same every time."""
    shuffle = random.Random(0)
    distances = []
    for _ in range(SPLITS):
        aside = set(shuffle.sample(range(len(drawings)), count))
        others = [n for n in range(len(drawings)) if n not in aside]
        distances.append(_Distance(drawings[others])(drawings[sorted(aside)]))
    return sum(distances) / len(distances)
