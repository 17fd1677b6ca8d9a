"""The random numbers of a training: every stream follows from the seed and a counter, so that resuming is exact."""

import hashlib
from typing import Literal

import torch

Stream = Literal["noise", "timesteps", "dropout", "flip", "variant", "validation", "adapter"]


def generator(seed: int, stream: Stream, index: int, device: torch.device) -> torch.Generator:
    """The random numbers of one stream at one micro-step; another stream, step or a preview cannot disturb them."""
    digest = hashlib.blake2b(f"{seed}/{stream}/{index}".encode(), digest_size=8).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest, "little") >> 1)
