"""Pictures along the way, drawn by the very function that the Generate tab calls, at the same seeds every time."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from ksh_studio.config import GenerateConfig, SettledGeneration, SettledTraining, Trigger
from ksh_studio.disk import write_bytes
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Preview, Warned
from ksh_studio.generation.interrupting import Interrupted, interruptible
from ksh_studio.generation.pictures.recipe import RecipeDetails, model_name, shareable, to_png
from ksh_studio.generation.prompt.parse import escaped
from ksh_studio.generation.request import settle
from ksh_studio.generation.sampling.denoising import make_pictures
from ksh_studio.jobs.folder import Job
from ksh_studio.jobs.requests import request_preview
from ksh_studio.models.loading import Base
from ksh_studio.models.memory import free_memory, is_out_of_memory
from ksh_studio.project.workspace import Project
from ksh_studio.training.data.items import Item
from ksh_studio.training.memory.offload import on_device
from ksh_studio.training.step.state import TrainingState

FROM_CAPTIONS = 3
"""How many of the project's own captions are drawn when the artist names no prompts."""


def preview_prompts(config: SettledTraining, project: Project, trigger: Trigger, items: list[Item]) -> tuple[str, ...]:
    """What is drawn: the job's prompts, else the project's, else captions of the drawings, spread evenly.

    Prompts made of captions end with one without the trigger, which shows how far the style has leaked into
    everything. Captions are plain text to the training, and so they are here; prompts that a person wrote are drawn as
    they are.
    """
    written = config.validation_prompts or project.settings().preview_prompts
    if written:
        return written
    captions = list(dict.fromkeys(item.caption for item in items))
    samples = captions[:: max(1, len(captions) // FROM_CAPTIONS)][:FROM_CAPTIONS]
    bare = trigger.strip(samples[0])
    prompts = (*samples, bare) if bare and bare != samples[0] else samples
    return tuple(map(escaped, prompts))


class Previews:
    """Draws the preview prompts of one job, each once a step, and what the artist asks for in between."""

    def __init__(self, base: Base, job: Job, config: SettledTraining, prompts: tuple[str, ...]) -> None:
        self.base, self.job, self.prompts, self.seed = base, job, prompts, config.seed
        self.clip_skip = config.clip_skip
        self.reported: set[str] = set()
        """Paths, relative to the project, of the pictures that are in the events, of earlier processes too."""

    def path(self, step: int, index: int) -> Path:
        """Where the picture of one prompt lies."""
        return self.job.previews / f"{step:06d}-{index + 1}.png"

    def draw(self, training_state: TrainingState) -> Iterator[Event]:
        """Draw what was not yet drawn for this step, with the weights that would be saved.

        A picture of a step that was lost is drawn again. A preview never ends a run: what goes wrong is a warning.
        Ends early when the artist asks to stop or pause.
        """
        for index, prompt in enumerate(self.prompts):
            path = self.path(training_state.step, index)
            if path.exists() and self.job.project.relative(path) in self.reported:
                continue
            try:
                drawn = self._drawn(training_state, path, prompt, self.seed)
                self.reported.add(drawn.path)
                yield drawn
            except Interrupted:
                return
            except StudioError as error:
                yield _failed(training_state, error)
                return

    def draw_requested(self, training_state: TrainingState) -> Iterator[Event]:
        """Draw the previews that were requested; one that a stop or pause cuts short is requested again for later."""
        for request in () if end_requested(self.job) else self.job.take_requested_previews():
            try:
                if end_requested(self.job):
                    raise Interrupted
                seed = self.seed if request.seed is None else request.seed
                yield self._drawn(training_state, self._free_name(training_state.step), request.prompt, seed)
            except Interrupted:
                with suppress(StudioError):  # so many have been asked for meanwhile that there is no place
                    request_preview(self.job, request.prompt, request.seed)
            except StudioError as error:
                yield _failed(training_state, error)

    def _free_name(self, step: int) -> Path:
        names = (self.job.previews / f"now-{step:06d}-{number}.png" for number in count(1))
        return next(path for path in names if not path.exists())

    def newest(self, step: int) -> Path | None:
        """The newest picture of the first prompt up to this step: later ones may be left of steps that were lost."""
        pictures = (path for path in self.job.previews.glob("[0-9]*-1.png") if int(path.name.split("-")[0]) <= step)
        return max(pictures, default=None)

    def request(self, prompt: str, seed: int | None = None) -> SettledGeneration:
        """What is drawn for a prompt, complete. Raises StudioError for what the base model cannot draw."""
        picture_seed = self.seed if seed is None else seed
        return settle(GenerateConfig(prompt=prompt, seed=picture_seed, clip_skip=self.clip_skip), self.base.entry)

    def picture(self, request: SettledGeneration) -> bytes:
        """The picture as a PNG file with its recipe, of the base as it is now. Raises Interrupted when asked to end."""
        with interruptible(self.base, lambda: end_requested(self.job)):
            (picture,) = make_pictures(self.base, request, [request.seed], lambda _: not end_requested(self.job))
        entry = self.base.entry
        details = RecipeDetails(model=model_name(entry), model_hash=self.base.sha256, loras={})
        return to_png(picture, shareable(request, entry), request.seed, details)

    def _drawn(self, training_state: TrainingState, path: Path, prompt: str, seed: int) -> Preview:
        """Draw and save one picture, with less memory at the second try.

        Raises StudioError with what went wrong, Interrupted when asked to stop.
        """
        for thrifty in (False, True):
            try:
                with training_state.showing_result(), on_device(self.base), _tiled(self.base, thrifty):
                    data = self.picture(self.request(prompt, seed))
                write_bytes(path, data)
                where, requested = self.job.project.relative(path), path.name.startswith("now")
                return Preview(step=training_state.step, prompt=prompt, seed=seed, path=where, asked=requested)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            except OSError as error:
                raise StudioError("preflight.preview_disk", why=error.strerror or error) from error
            free_memory(self.base.device)
        raise StudioError("preflight.preview_memory")


def end_requested(job: Job) -> bool:
    """Whether the artist asked the job to end, for good or for a while."""
    return job.stop_requested() or job.pause_requested()


def _failed(training_state: TrainingState, error: StudioError) -> Warned:
    return Warned.saying("train.preview_failed", step=training_state.step, why=error)


@contextmanager
def _tiled(base: Base, tiled: bool) -> Iterator[None]:
    """The VAE decodes a quarter of the picture at a time while the block runs, if wanted."""
    vae = base.vae
    if not tiled:
        yield
        return
    before = (vae.use_tiling, vae.tile_sample_min_size, vae.tile_latent_min_size)
    half = vae.tile_sample_min_size // 2, vae.tile_latent_min_size // 2
    vae.use_tiling, vae.tile_sample_min_size, vae.tile_latent_min_size = True, *half
    try:
        yield
    finally:
        vae.use_tiling, vae.tile_sample_min_size, vae.tile_latent_min_size = before
