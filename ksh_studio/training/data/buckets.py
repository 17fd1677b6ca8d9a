"""Drawings keep their shape: of several sizes of about equal area, each gets the one that cuts off least (no torch)."""

import math
from dataclasses import dataclass
from typing import Literal

MAX_ASPECT = 1.5
"""Longer side of a bucket against the side of the square."""
MAX_UPSCALE = 2.0
"""A drawing is never enlarged more than this; it goes to a smaller bucket instead."""


@dataclass(frozen=True)
class Crop:
    """How a drawing becomes a training picture: scaled to `scaled`, then `width` x `height` cut out there."""

    width: int
    height: int
    scaled: tuple[int, int]
    left: int
    top: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the training picture: which bucket it is in."""
        return self.width, self.height


def fit(width: int, height: int, resolution: int, step: int, shape: Literal["bucket", "square"]) -> Crop:
    """The crop of a drawing of this size in pixels.

    resolution: side of the square whose area a bucket has; step: sides are multiples of it.
    The cut is in the middle. Raises ValueError for a drawing too small for the smallest bucket.
    """
    for side in range(resolution, step - 1, -step):
        to_width, to_height = (side, side) if shape == "square" else _bucket(width / height, side, step)
        scale = max(to_width / width, to_height / height)
        if scale <= MAX_UPSCALE:
            scaled = (max(to_width, round(width * scale)), max(to_height, round(height * scale)))
            return Crop(to_width, to_height, scaled, (scaled[0] - to_width) // 2, (scaled[1] - to_height) // 2)
    raise ValueError(f"{width}x{height} is too small")


def buckets(resolution: int, step: int) -> list[tuple[int, int]]:
    """All (width, height): multiples of `step`, area at most resolution², no side longer than 1.5 x resolution."""
    longest = max(step, int(resolution * MAX_ASPECT) // step * step)
    sizes = set()
    for width in range(step, longest + 1, step):
        height = min(longest, resolution * resolution // width // step * step)
        if height >= step and max(width, height) <= longest:
            sizes |= {(width, height), (height, width)}
    shortest = max(step, int(resolution / MAX_ASPECT) // step * step)
    return sorted(size for size in sizes if min(size) >= shortest) or [(resolution, resolution)]


def _bucket(aspect: float, resolution: int, step: int) -> tuple[int, int]:
    """The bucket of the nearest aspect ratio, on a logarithmic scale; the larger of two equally near."""
    return min(
        buckets(resolution, step),
        key=lambda size: (round(abs(math.log(size[0] / size[1] / aspect)), 6), -size[0] * size[1]),
    )
