"""The VAE and the text encoder leave the GPU while nothing needs them: about 0.4 GB for a Stable Diffusion 1.5."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ksh_studio.models.loading import Base


def offload(base: Base) -> None:
    """Move what a training step does not use into the computer's memory; a text encoder that learns stays."""
    if base.device.type == "cpu":
        return
    base.vae.to("cpu")
    if not any(parameter.requires_grad for parameter in base.text_encoder.parameters()):
        base.text_encoder.to("cpu")
    if base.device.type == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def on_device(base: Base) -> Iterator[None]:
    """The whole base is on its device while the block runs."""
    try:  # the moves too may find no room
        base.vae.to(base.device)
        base.text_encoder.to(base.device)
        yield
    finally:
        offload(base)
