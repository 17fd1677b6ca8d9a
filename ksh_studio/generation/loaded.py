"""What stays in memory between two requests: one base model and the LoRA files on it."""

import gc
from pathlib import Path

import torch

from ksh_studio.errors import StudioError
from ksh_studio.generation.loras import Chosen
from ksh_studio.lora.on_base.attach import ADAPTER, attach, detach, set_strength
from ksh_studio.models.device import pick_device
from ksh_studio.models.loading import Base, load_base
from ksh_studio.models.registry import base_entry


class Loaded:
    """At most one base model; another one takes its place."""

    def __init__(self) -> None:
        self.device = pick_device()
        self._base: Base | None = None
        self._worn: tuple[tuple[Path, int], ...] = ()

    def has(self, name: str) -> bool:
        """Whether the base model of this name is in memory."""
        return self._base is not None and self._base.entry.name == name

    def base(self, name: str, attention: str = "sdpa") -> Base:
        """The base model of this name, loaded where it is not yet. Raises StudioError as `load_base` does.

        attention: counts when the model is loaded, and for a process that has drawn already not before the next one:
        diffusers decides about xformers once.
        """
        entry = base_entry(name)
        if not self.has(name) or self._base is None:
            self.forget()
            precision = "fp16" if self.device.type == "cuda" else "auto"
            self._base = load_base(entry, self.device, precision, attention)
        return self._base

    def wear(self, loras: list[Chosen]) -> None:
        """Put exactly these LoRA files on the base model, at their strengths; files already on it are not read again.

        Raises StudioError for a file that does not fit; the base model then wears none.
        """
        base = self._base
        if base is None:
            raise ValueError("wear() comes after base()")
        wanted = tuple((lora.path, lora.path.stat().st_mtime_ns) for lora in loras)
        names = [f"{ADAPTER}-{number}" for number in range(len(loras))]
        if wanted != self._worn:
            self._worn = ()
            detach(base)
            try:
                for lora, name in zip(loras, names, strict=True):
                    attach(base, lora.path, adapter=name)
            except StudioError:
                detach(base)
                raise
            self._worn = wanted
        for lora, name in zip(loras, names, strict=True):
            set_strength(base, lora.unet, lora.te, name)

    def forget(self) -> None:
        """Free the memory."""
        self._base, self._worn = None, ()
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
