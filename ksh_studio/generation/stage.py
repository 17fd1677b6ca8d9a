"""The Generate stage: a request becomes pictures on disk, each with its recipe before anybody hears of it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from ksh_studio.config import GenerateConfig
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Failed, Finished, Picture, Progress, Started, Stopped, Warned
from ksh_studio.generation.loaded import Loaded
from ksh_studio.generation.loras import Chosen, chosen_loras
from ksh_studio.generation.pictures.gallery import add_picture
from ksh_studio.generation.pictures.recipe import Facts, model_name, shareable, to_png
from ksh_studio.generation.prompt.parse import Parsed, is_korean, parse
from ksh_studio.generation.request import base_model_of, resolve, seeds_of
from ksh_studio.generation.sampling.denoising import DenoisingStep, Interrupted, decode, denoise, draw, encode_request
from ksh_studio.models.files import needs_download
from ksh_studio.models.loading import Base
from ksh_studio.models.registry import base_entry, default_base
from ksh_studio.project.workspace import Project

__all__ = ["DenoisingStep", "Interrupted", "draw", "generate"]


def generate(
    config: GenerateConfig, project: Project, should_stop: Callable[[], bool], loaded: Loaded | None = None
) -> Iterator[Event]:
    """Draw `batch_size` pictures and save them in the project.

    loaded: what is in memory from an earlier request, reused and left for the next.
    The last event is Finished, Stopped (asked between two steps) or Failed; pictures already saved stay.
    """
    try:
        yield from _generate(config, project, should_stop, loaded or Loaded())
    except StudioError as error:
        yield Failed.of(error.sentence)
    except (torch.OutOfMemoryError, MemoryError):
        yield Failed.of(StudioError("generate.no_memory", count=config.batch_size).sentence)


def _generate(
    config: GenerateConfig, project: Project, should_stop: Callable[[], bool], loaded: Loaded
) -> Iterator[Event]:
    began = time.monotonic()
    prompt, negative = parse(config.prompt), parse(config.negative_prompt, negative=True)
    name = base_model_of(config, project, default_base(loaded.device.type))
    yield Started(stage="generate", total=config.batch_size, device=loaded.device.type)
    yield from _notes(prompt, negative)
    loras, missing = chosen_loras(config, prompt, project)
    yield from map(Warned.of, missing)
    yield Progress(phase="load", done=0, total=1)
    if needs_download(base_entry(name)):
        yield Warned.saying("models.downloading", name=name)
    base = loaded.base(name, config.attention)
    request = resolve(config.model_copy(update={"base_model": name}), base.entry)
    loaded.wear(loras)
    yield Progress(phase="load", done=1, total=1)
    yield from _Run(base, request, loras, project, began).events(should_stop)


def _notes(prompt: Parsed, negative: Parsed) -> Iterator[Warned]:
    if any(is_korean(fragment.text) for fragment in (*prompt.fragments, *negative.fragments)):
        yield Warned.saying("prompt.korean")
    for note in (*prompt.notes, *negative.notes):
        yield Warned.of(note.sentence)


@dataclass(frozen=True)
class _Run:
    """One request with everything it needs."""

    base: Base
    request: GenerateConfig
    loras: list[Chosen]
    project: Project
    began: float

    def events(self, should_stop: Callable[[], bool]) -> Iterator[Event]:
        """Denoise, decode, save."""
        seeds = seeds_of(self.request)
        encoded = encode_request(self.base, self.request)
        began = time.monotonic()
        for step in denoise(self.base, self.request, encoded, seeds):
            yield Progress(phase="denoise", done=step.done, total=step.total)
            if should_stop():
                yield Stopped.saying("generate.stopped", done=step.done, total=step.total)
                return
        denoised = time.monotonic()
        facts, told = self._facts(encoded.padded), shareable(self.request, self.base.entry)
        for index, (seed, latents) in enumerate(zip(seeds, step.latents.split(1), strict=True)):
            path = add_picture(self.project, to_png(decode(self.base, latents), told, seed, facts), seed)
            yield Picture(path=self.project.relative(path), seed=seed, index=index, total=len(seeds))
        seconds = time.monotonic() - self.began
        figures = {
            "seconds": seconds,
            "pictures": float(len(seeds)),
            "steps_per_second": step.total / (denoised - began),
            "seconds_per_picture": (time.monotonic() - began) / len(seeds),
        }
        values = {"count": str(len(seeds)), "seconds": f"{seconds:.1f}"}
        yield Finished(key="generate.finished", values=values, figures=figures)

    def _facts(self, padded: bool) -> Facts:
        """What the recipe says besides the settings."""
        tags = "".join(f" {lora.missing_tag}" for lora in self.loras if lora.missing_tag)
        hashes = {lora.name: lora.hash for lora in self.loras}
        return Facts(model_name(self.base.entry), self.base.sha256, hashes, tags, padded)
