"""The style score along the way: how close each step's previews are to the drawings, against the base model's own."""

import random
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from PIL import Image
from torch import Tensor

from ksh_studio.disk import write_bytes
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Progress, Scored, Warned
from ksh_studio.generation.interrupting import Interrupted
from ksh_studio.generation.sampling.denoising import decode
from ksh_studio.jobs.status import job_events
from ksh_studio.models.likeness import LEAST_DRAWINGS, VERSION, Likeness, picture_tensor, style_features
from ksh_studio.models.loading import Base
from ksh_studio.models.memory import free_memory, is_out_of_memory
from ksh_studio.training.data.cache import Cache, fingerprint, key_of
from ksh_studio.training.data.encode import EncodedDrawings
from ksh_studio.training.measures.previews import Previews, end_requested
from ksh_studio.training.memory.offload import on_device
from ksh_studio.training.step.state import TrainingState

DRAWINGS = 48
"""At most this many drawings, chosen by the seed, stand for all."""


class _Ended(Exception):  # noqa: N818 - no error
    """The artist asked to stop or pause; the step is scored when the job goes on."""


class Scoring:
    """Scores the previews of one job, each step once. What goes wrong is a warning and never ends the run."""

    def __init__(self, data: EncodedDrawings, previews: Previews, training_state: TrainingState) -> None:
        self.data, self.previews, self.job, self.base = data, previews, previews.job, previews.base
        self.from_file = bool(training_state.config.init_lora)
        self.seed = training_state.config.seed
        steps = (event.step for event in job_events(self.job) if isinstance(event, Scored))
        self.scored = {step for step in steps if step <= training_state.step}
        trigger = self.job.file.trigger
        self.trigger_prompts = [n for n, prompt in enumerate(previews.prompts) if trigger.is_called_in(prompt)]
        """Indices of the prompts that call the style; in the others a missing style is no fault."""
        entry = self.base.entry
        self.side = min(training_state.config.resolution, entry.native_size)
        self.multiple = 2 ** (len(self.base.vae.config.block_out_channels) - 1)
        enough = len(data.items) >= max(LEAST_DRAWINGS, len(self.trigger_prompts) + 2)
        self.possible = bool(self.trigger_prompts) and enough
        self.likeness: Likeness | None = None

    def measure(self, training_state: TrainingState) -> Iterator[Event]:
        """One Scored for this step, once all its previews are there; none where there is nothing to compare."""
        pictures = [self.previews.path(training_state.step, n) for n in self.trigger_prompts]
        drawn = self.possible and all(path.exists() for path in pictures)
        if not drawn or training_state.step in self.scored:
            return
        try:
            score = yield from self._score(pictures, training_state)
        except (_Ended, Interrupted):
            return
        except (StudioError, OSError, RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                free_memory(self.base.device)
            elif isinstance(error, RuntimeError):  # a defect: `Failed` shows it
                raise
            yield Warned.saying("recommend.score_failed", step=training_state.step, why=str(error)[:300])
            return
        if score is not None:
            self.scored.add(training_state.step)
            yield Scored(step=training_state.step, score=score)

    def _score(self, pictures: list[Path], training_state: TrainingState) -> Generator[Event, None, float | None]:
        with on_device(self.base):
            if self.likeness is None:
                drawings = yield from self._drawings()
                self.likeness = Likeness(drawings, self._features_of(self._of_base(training_state)))
                if not self.likeness.is_meaningful:
                    self.possible = False
                    yield Warned.saying("recommend.already_alike")
                    return None
            return self.likeness.score(self._features_of(pictures))

    def _drawings(self) -> Generator[Event, None, Tensor]:
        """Features [N, F] of the drawings after a pass through the autoencoder, which is the best a LoRA can reach.

        Without that pass the autoencoder's own blur, which is on every preview, would be taken for style. What the
        cache holds is not computed again.
        """
        cache = Cache(self.job.project.workspace.cache / "training")
        items, made_by = self.data.items, fingerprint(self.base.vae)
        count = min(DRAWINGS, len(items))
        features = []
        for done, n in enumerate(sorted(random.Random(f"{self.seed}/likeness").sample(range(len(items)), count))):
            yield Progress(phase="measure", done=done, total=count)
            item = items[n]
            key = key_of("likeness", VERSION, item.digest, item.crop, self.side, self.multiple, made_by)
            value = cache.get(key)
            if value is None:
                self._go_on()
                bucket, row = self.data.place[n]
                value = self._features(decode(self.base, self.data.latents[bucket][row, :1]))
                cache.put(key, value)
            features.append(value)
        yield Progress(phase="measure", done=count, total=count)
        return torch.stack(features)

    def _of_base(self, training_state: TrainingState) -> list[Path]:
        """Pictures of the base model alone: those of step 0, or drawn now where step 0 was another job's or no base."""
        first = [self.previews.path(0, n) for n in self.trigger_prompts]
        if not self.from_file and all(path.exists() for path in first):
            return first
        drawn = [self.job.folder / "base" / f"{n + 1}.png" for n in self.trigger_prompts]
        for path, n in zip(drawn, self.trigger_prompts, strict=True):
            if not path.exists():
                with _without_lora(self.base):
                    data = self.previews.picture(self.previews.request(self.previews.prompts[n]))
                write_bytes(path, data)
        return drawn

    def _features_of(self, paths: list[Path]) -> Tensor:
        features = []
        for path in paths:
            self._go_on()
            with Image.open(path, formats=("PNG",)) as picture:
                features.append(self._features(picture))
        return torch.stack(features)

    def _features(self, picture: Image.Image) -> Tensor:
        return style_features(self.base.vae, picture_tensor(picture, self.side, self.multiple))

    def _go_on(self) -> None:
        if end_requested(self.job):
            raise _Ended


@contextmanager
def _without_lora(base: Base) -> Iterator[None]:
    """The base draws by itself while the block runs; what is trained stays trainable."""
    layers = [layer for model in (base.unet, base.text_encoder) for layer in model.modules()
              if isinstance(layer, BaseTunerLayer)]  # fmt: skip
    trainable = [p for layer in layers for p in layer.parameters() if p.requires_grad]
    try:
        for layer in layers:
            layer.enable_adapters(False)
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)
        for parameter in trainable:
            parameter.requires_grad_(True)
