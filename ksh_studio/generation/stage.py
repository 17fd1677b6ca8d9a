"""The Generate stage: makes the pictures of a request and saves each with its recipe before it yields its event."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ksh_studio.config import GenerateConfig, SettledGeneration
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Failed, Finished, Picture, Progress, Started, Stopped, Warned
from ksh_studio.generation.budget import check_chunks, check_work
from ksh_studio.generation.interrupting import Interrupted, interruptible
from ksh_studio.generation.loaded import LoadedModels
from ksh_studio.generation.loras import AppliedLora, loras_to_apply
from ksh_studio.generation.pictures.gallery import add_picture
from ksh_studio.generation.pictures.recipe import RecipeDetails, model_name, shareable, to_png
from ksh_studio.generation.prompt.encoding import encode_prompts, longest_prompt
from ksh_studio.generation.prompt.parse import ParsedPrompts, parse_prompts
from ksh_studio.generation.request import seeds_of, settle
from ksh_studio.generation.sampling.denoising import decode, denoise
from ksh_studio.models.choice import base_model_of
from ksh_studio.models.files import needs_download
from ksh_studio.models.loading import Base
from ksh_studio.models.memory import is_out_of_memory
from ksh_studio.models.registry import base_entry
from ksh_studio.project.workspace import Project


def generate(
    config: GenerateConfig, project: Project, should_stop: Callable[[], bool], models: LoadedModels | None = None
) -> Iterator[Event]:
    """Make `batch_size` pictures and save them in the project.

    models: keeps the base model in memory from one request to the next; None loads it for this request alone.
    should_stop: called often, also between the layers of a model; True ends the request.
    The last event is Finished, Stopped or Failed. Pictures that were saved before it are kept.
    """
    try:
        yield from _generate(config, project, should_stop, models or LoadedModels())
    except StudioError as error:
        yield Failed.of(error.sentence)
    except (RuntimeError, MemoryError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        yield Failed.saying("generate.no_memory", count=config.batch_size)


def _generate(
    config: GenerateConfig, project: Project, should_stop: Callable[[], bool], models: LoadedModels
) -> Iterator[Event]:
    began = time.monotonic()
    prompts = parse_prompts(config.prompt, config.negative_prompt)
    name = base_model_of(project, models.device.type, config.base_model)
    yield Started(stage="generate", total=config.batch_size, device=models.device.type)
    for parsed in (prompts.positive, prompts.negative):
        check_chunks(parsed.least_chunks)  # before a model is loaded, or even downloaded, for it
    loras, unknown_tags = loras_to_apply(config, prompts.positive, project)
    for sentence in (*prompts.sentences(), *unknown_tags):
        yield Warned.of(sentence)
    yield Progress(phase="load", done=0, total=1)
    if needs_download(base_entry(name)):
        yield Warned.saying("models.downloading", name=name)
    base = models.base(name, config.attention)
    request = settle(config.model_copy(update={"base_model": name}), base.entry)
    for sentence in models.apply_loras(base, loras):
        yield Warned.of(sentence)
    check_work(request, longest_prompt(base.tokenizer, prompts))
    yield Progress(phase="load", done=1, total=1)
    yield from _Generation(base, request, prompts, loras, project, began).events(should_stop)


@dataclass(frozen=True)
class _Generation:
    """A request and everything that its pictures are made from."""

    base: Base
    request: SettledGeneration
    prompts: ParsedPrompts
    loras: list[AppliedLora]
    project: Project
    began: float
    """`time.monotonic()` when the request began."""

    def events(self, should_stop: Callable[[], bool]) -> Iterator[Event]:
        """Encode, denoise, decode, save; ends with Stopped soon after `should_stop`."""
        done = 0
        try:
            with interruptible(self.base, should_stop):
                for event in self._made():
                    if isinstance(event, Progress):
                        done = event.done
                    yield event
                    if not isinstance(event, Finished) and should_stop():
                        raise Interrupted
        except Interrupted:
            yield Stopped.saying("generate.stopped", done=done, total=self.request.num_inference_steps)

    def _made(self) -> Iterator[Event]:
        base, request, seeds = self.base, self.request, seeds_of(self.request)
        encoded = encode_prompts(base, self.prompts, request.clip_skip)
        began = time.monotonic()
        for step in denoise(base, request, encoded, seeds):
            yield Progress(phase="denoise", done=step.done, total=step.total)
        denoised = time.monotonic()
        details, recorded = self._details(encoded.padded), shareable(request, base.entry)
        for index, (seed, latents) in enumerate(zip(seeds, step.latents.split(1), strict=True)):
            path = add_picture(self.project, to_png(decode(base, latents), recorded, seed, details), seed)
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

    def _details(self, padded: bool) -> RecipeDetails:
        """The values of the recipe that are not settings."""
        tags = "".join(f" {lora.missing_tag}" for lora in self.loras if lora.missing_tag)
        hashes = {lora.name: lora.hash for lora in self.loras}
        return RecipeDetails(model_name(self.base.entry), self.base.sha256, hashes, tags, padded)
