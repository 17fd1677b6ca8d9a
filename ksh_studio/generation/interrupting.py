"""Ends a request while a model computes: a stop is looked at before each of its layers, not only between steps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from ksh_studio.models.loading import Base


class Interrupted(Exception):
    """The request was asked to stop, so that no picture was made."""


@contextmanager
def interruptible(base: "Base", should_stop: Callable[[], bool]) -> Iterator[None]:
    """Raise Interrupted in the block, at the next layer of the text encoder, the UNet or the VAE, after a stop.

    A step of a large request takes minutes on a CPU, a layer of it at most a few seconds.
    """

    def check(*_: object) -> None:
        if should_stop():
            raise Interrupted

    models = (base.text_encoder, base.unet, base.vae)
    handles = [layer.register_forward_pre_hook(check) for model in models for layer in _layers(model)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _layers(model: nn.Module) -> list[nn.Module]:
    """The modules of every list of a model that have parts of their own: blocks, attentions, layers of an encoder."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    layers = [layer for each in lists for layer in each if layer is not None]  # the VAE has a place without attention
    return [layer for layer in layers if any(True for _ in layer.children())]
