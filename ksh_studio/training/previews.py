"""Pictures along the way, drawn by the very function that the Generate tab calls, at the same seeds every time."""

from collections.abc import Iterator
from pathlib import Path

import torch

from ksh_studio.config import GenerateConfig, TrainConfig, Trigger
from ksh_studio.disk import write_bytes
from ksh_studio.events import Event, Preview, Warned
from ksh_studio.generation.drawing import Interrupted, draw
from ksh_studio.generation.recipe import Facts, to_png
from ksh_studio.generation.resolve import resolve
from ksh_studio.jobs import Job
from ksh_studio.locales import StudioError
from ksh_studio.models.loading import Base
from ksh_studio.training.dataset import Item
from ksh_studio.training.parking import awake
from ksh_studio.training.session import Session
from ksh_studio.workspace import Project

FROM_CAPTIONS = 2
"""How many of the project's own captions are drawn when the artist names no prompts."""


def preview_prompts(config: TrainConfig, project: Project, trigger: Trigger, items: list[Item]) -> tuple[str, ...]:
    """What is drawn: the job's prompts, else the project's, else captions of the drawings, spread evenly.

    Prompts made of captions end with one without the trigger, which shows how far the style has leaked into
    everything. Prompts that a person wrote are drawn as they are.
    """
    written = config.validation_prompts or project.settings().preview_prompts
    if written:
        return written
    captions = list(dict.fromkeys(item.caption for item in items))
    chosen = captions[:: max(1, len(captions) // FROM_CAPTIONS)][:FROM_CAPTIONS]
    bare = trigger.strip(chosen[0])
    return (*chosen, bare) if bare and bare != chosen[0] else tuple(chosen)


class Previews:
    """Draws the preview prompts of one job, each once a step."""

    def __init__(self, base: Base, job: Job, config: TrainConfig, prompts: tuple[str, ...]) -> None:
        self.base, self.job, self.prompts, self.seed = base, job, prompts, config.seed
        self.clip_skip = config.clip_skip

    def path(self, step: int, index: int) -> Path:
        """Where the picture of one prompt lies."""
        return self.job.previews / f"{step:06d}-{index + 1}.png"

    def draw(self, session: Session) -> Iterator[Event]:
        """Draw what is not yet on disk for this step, with the weights that would be saved.

        A preview never ends a run: what goes wrong is a warning. Ends early when the artist asks to stop.
        """
        for index, prompt in enumerate(self.prompts):
            path = self.path(session.step, index)
            if path.exists():
                continue
            try:
                with session.showing_result(), awake(self.base):
                    data = self._picture(prompt)
                write_bytes(path, data)
            except Interrupted:
                return
            except (StudioError, torch.OutOfMemoryError) as error:
                yield Warned(key="train.preview_failed", values={"step": str(session.step), "why": str(error)})
                return
            relative = self.job.project.relative(path)
            yield Preview(step=session.step, prompt=prompt, seed=self.seed, path=relative)

    def newest(self) -> Path | None:
        """The newest picture of the first prompt."""
        return max(self.job.previews.glob("*-1.png"), default=None)

    def _picture(self, prompt: str) -> bytes:
        """The picture as a PNG file with its recipe."""
        request = GenerateConfig(prompt=prompt, seed=self.seed, clip_skip=self.clip_skip)
        request = resolve(request, self.base.entry)
        (picture,) = draw(self.base, request, [self.seed], lambda _: not self.job.stop_requested())
        facts = Facts(model=self.base.entry.name.rsplit("/", 1)[-1], model_hash=self.base.sha256, loras={})
        return to_png(picture, request, self.seed, facts)
