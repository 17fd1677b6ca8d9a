"""Keeps one base model, with the LoRA files applied to it, in memory from one request to the next."""

from pathlib import Path

from ksh_studio.config import Attention
from ksh_studio.generation.loras import AppliedLora
from ksh_studio.locales import Sentence
from ksh_studio.lora.on_base.attach import ADAPTER, attach, detach, set_strength
from ksh_studio.models.device import pick_device
from ksh_studio.models.loading import Base, Precision, load_base
from ksh_studio.models.memory import free_memory
from ksh_studio.models.registry import base_entry


class LoadedModels:
    """At most one base model is loaded; loading another one replaces it."""

    def __init__(self) -> None:
        self.device = pick_device()
        self._base: Base | None = None
        self._applied: tuple[tuple[Path, int], ...] = ()
        """The path and the time of change (ns) of each LoRA file that is applied to the base model."""
        self._left_out: list[Sentence] = []
        """What is not used of these files."""

    def base(self, name: str, attention: Attention = "sdpa") -> Base:
        """The base model of this name, loaded unless it is in memory. Raises StudioError as `load_base` does.

        attention: has an effect only for the first model that a process loads, when diffusers decides about xformers.
        """
        entry = base_entry(name)
        if self._base is None or self._base.entry.name != name:
            self.unload()
            precision: Precision = "fp16" if self.device.type == "cuda" else "auto"
            self._base = load_base(entry, self.device, precision, attention)
        return self._base

    def apply_loras(self, base: Base, loras: list[AppliedLora]) -> list[Sentence]:
        """Apply exactly these LoRA files to the base model, at their strengths; say what of them is left out.

        When the same files are applied already, they are not read again. base: what `self.base` has returned.
        Raises StudioError when a file does not fit; then no LoRA is applied.
        """
        files = tuple((lora.path, lora.path.stat().st_mtime_ns) for lora in loras)
        adapters = [f"{ADAPTER}-{number}" for number in range(len(loras))]
        if files != self._applied:
            self._applied = ()
            detach(base)
            try:
                fits = [attach(base, lora.path, adapter=name) for lora, name in zip(loras, adapters, strict=True)]
            except BaseException:  # also where memory ran out: no half of it may stay on the model
                detach(base)
                raise
            self._applied, self._left_out = files, [text for fit in fits for text in fit.warnings()]
        for lora, adapter in zip(loras, adapters, strict=True):
            set_strength(base, lora.unet, lora.te, adapter)
        return self._left_out

    def unload(self) -> None:
        """Drop the base model and free its memory."""
        self._base, self._applied = None, ()
        free_memory(self.device)
