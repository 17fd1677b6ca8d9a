"""What the captioner learns from: drawings in changed colours, line widths and places, some of them in pairs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from captioner_model import BOS, EOS, IMAGE, PAD, PATCH, QUERIES
from captions import plain_caption
from drawings import Drawings, composite, named_backgrounds, style_names, styles_with_glasses
from torch import Tensor
from torch.nn import functional
from transformers import Blip2Processor

PAIRS = 11
OTHERS = 10
IGNORED = -100
VISIBLE = 0.1  # of full scale


@dataclass(frozen=True)
class Batch:
    """The model's inputs for 2 PAIRS + OTHERS pictures, the twins behind the first PAIRS, and what is right.

    labels: [B, length], only the captions count. glasses: [2 PAIRS, patches], 1 where a patch shows glasses, else 0.
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    glasses: Tensor


class Pairs:
    """Drawings of the training styles, and pairs of drawings that differ by their glasses alone.

    Without the pairs glasses were learned late: what goes with them by chance is easier to see than a thin line. And
    where the two differ, the glasses are.
    """

    def __init__(self, build: Path) -> None:
        """Open all drawings; none is read before it is asked for."""
        self.all = Drawings.load(build, "train", style_names("train"))
        self.plain, self.twins = (Drawings.load(build, split, styles_with_glasses()) for split in ("train", "twin"))

    def batch(self, processor: Blip2Processor, rng: np.random.Generator) -> Batch:
        """Return one batch, each picture on a background of its own."""
        pairs, others = rng.integers(0, len(self.plain), PAIRS), rng.integers(0, len(self.all), OTHERS)
        changes = rng.bit_generator.state
        plain = vary(self.plain.rgba(pairs), rng)
        rng.bit_generator.state = changes  # both of a pair are changed alike
        rgba = torch.cat([plain, vary(self.twins.rgba(pairs), rng), vary(self.all.rgba(others), rng)])
        taken = [(self.plain, pairs), (self.twins, pairs), (self.all, others)]
        known = [drawings.attributes[i] for drawings, indices in taken for i in indices]
        names, background = named_backgrounds(rng, len(known))
        texts = [plain_caption(attributes, name) for attributes, name in zip(known, names, strict=True)]
        words, labels = spelled(texts, processor)
        inputs = words | {"pixel_values": composite(rgba, background) * 2 - 1}
        return Batch(inputs, labels, glasses_of(rgba[: 2 * PAIRS], known[: 2 * PAIRS]))


def spelled(texts: list[str], processor: Blip2Processor) -> tuple[dict[str, Tensor], Tensor]:
    """Return tokens behind the image's, and labels that only count the caption."""
    rows = [[IMAGE] * QUERIES + [BOS, *processor.tokenizer.encode(text)[1:], EOS] for text in texts]
    longest = max(len(row) for row in rows)
    input_ids = torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])
    labels = input_ids.masked_fill(input_ids == PAD, IGNORED)
    labels[:, : QUERIES + 1] = IGNORED
    return {"input_ids": input_ids, "attention_mask": (input_ids != PAD).long()}, labels


def glasses_of(rgba: Tensor, known: list[dict]) -> Tensor:
    """Return for drawings [2N, 4, H, W], the twins behind the first N, where each shows glasses [2N, patches]."""
    first, second = rgba.chunk(2)
    changed = (first - second).abs().amax(1, keepdim=True) > VISIBLE
    patches = functional.max_pool2d(changed.float(), PATCH).flatten(1)
    worn = torch.tensor([[float(attributes["glasses"])] for attributes in known])
    return torch.cat([patches, patches]) * worn


def vary(rgba: Tensor, rng: np.random.Generator) -> Tensor:
    """Return drawings moved, resized, mirrored, their dark lines thicker or thinner, their colours a little off."""
    count = len(rgba)
    scale = torch.from_numpy(rng.uniform(0.8, 1.1, count)).float()
    mirror = torch.from_numpy(rng.choice([-1.0, 1.0], count)).float()
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0], matrix[:, 1, 1] = scale * mirror, scale
    matrix[:, :, 2] = torch.from_numpy(rng.uniform(-0.1, 0.1, (count, 2))).float()
    grid = functional.affine_grid(matrix, list(rgba.shape), align_corners=False)
    rgba = functional.grid_sample(rgba, grid, align_corners=False, padding_mode="zeros")
    if rng.random() < 0.25:
        kernel = int(rng.choice([2, 3]))
        thick = -functional.max_pool2d(-functional.pad(rgba, (kernel - 1, 0, kernel - 1, 0)), kernel, 1)
        some = torch.from_numpy(rng.random((count, 1, 1, 1)) < 0.5)
        # Only the colour: a figure whose alpha shrank would lose its outline instead.
        rgba = torch.where(some, torch.cat([torch.minimum(thick[:, :3], rgba[:, :3]), rgba[:, 3:]], 1), rgba)
    gain = torch.from_numpy(rng.uniform(0.9, 1.1, (count, 3, 1, 1))).float()
    return torch.cat([torch.minimum(rgba[:, :3] * gain, rgba[:, 3:]), rgba[:, 3:]], 1)
