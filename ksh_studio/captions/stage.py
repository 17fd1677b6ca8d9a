"""A captioner writes what is on each drawing; every caption is committed as it is made."""

import gc
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from ksh_studio.captions.captioners.blip2 import describe
from ksh_studio.config import CaptionConfig
from ksh_studio.errors import StudioError
from ksh_studio.events import Captioned, Event, Finished, Progress, Started, Stopped, Warned
from ksh_studio.locales import Sentence, sentence
from ksh_studio.models.choice import captioner_of
from ksh_studio.models.device import pick_device
from ksh_studio.models.loading import Captioner, load_captioner
from ksh_studio.models.registry import CaptionerEntry, captioner_entry
from ksh_studio.project.catalogue import By, CaptionConflict, Catalogue, Drawing
from ksh_studio.project.workspace import Project

TOLD = (
    "prompt", "max_new_tokens", "min_new_tokens", "num_beams", "do_sample", "temperature", "top_p",
    "repetition_penalty", "no_repeat_ngram_size", "picture_shape", "cleaning", "seed",
)  # fmt: skip
"""Settings that decide what is written: a caption made with the same ones is not made again."""
NEWER = ("picture_shape", "cleaning")
"""Those of them that the first versions of the studio did not have."""


def caption(config: CaptionConfig, project: Project, should_stop: Callable[[], bool]) -> Iterator[Event]:
    """Caption the drawings that `config.overwrite` names, a batch at a time.

    Yields Started, one Captioned for each caption after its commit, warnings, and Finished or Stopped. Begun again
    after a kill, it does only what is left. A caption that a person changes meanwhile is left to the person.
    Raises StudioError when there are no drawings, the captioner cannot be loaded, or not one caption could be made.
    """
    device = pick_device()
    entry = captioner_entry(captioner_of(project, device.type, config.captioner))
    config = resolved(config, entry)
    by = By("captioner", author_of(entry), _settings_kept(config))
    with Catalogue(project) as catalogue:
        todo = catalogue.pending(config.overwrite, by)
        if not catalogue.counts()["all"]:
            raise StudioError("captions.no_drawings")
        if not todo:
            yield Finished.saying("captions.nothing_to_do")
            return
        yield Progress(phase="load", done=0, total=1)
        captioner = load_captioner(entry, device)
        yield Progress(phase="load", done=1, total=1)
        precision = str(captioner.model.dtype).removeprefix("torch.")
        yield Started(stage="caption", total=len(todo), device=f"{device.type}, {precision}")
        yield from _Run(catalogue, captioner, config, by).events(todo, should_stop)


def resolved(config: CaptionConfig, entry: CaptionerEntry) -> CaptionConfig:
    """The settings with everything filled in: what was left at its default is as the captioner wants it."""
    defaults = CaptionConfig()
    wanted = {
        name: value for name, value in entry.generation.items() if getattr(config, name) == getattr(defaults, name)
    }
    return CaptionConfig.model_validate(config.model_dump() | wanted | {"prompt": config.prompt or entry.prompt})


def _settings_kept(config: CaptionConfig) -> dict[str, Any]:
    """The settings that a caption is kept with; the newer ones only where they are not at their default.

    So a caption that was made before there were these settings counts as made with the same ones.
    """
    kept, defaults = config.model_dump(include=set(TOLD)), CaptionConfig().model_dump()
    return {name: value for name, value in kept.items() if name not in NEWER or value != defaults[name]}


def author_of(entry: CaptionerEntry) -> str:
    """How the catalogue names the captioner: without the path of a folder, which is nobody else's business."""
    is_path = entry.kind != "hub" and ("/" in entry.name or "\\" in entry.name)
    return entry.label if is_path else entry.name


@dataclass
class _Run:
    """One run over the drawings that are to be captioned."""

    catalogue: Catalogue
    captioner: Captioner
    config: CaptionConfig
    by: By
    made: int = 0
    failed: int = 0
    done: int = 0

    def events(self, todo: list[Drawing], should_stop: Callable[[], bool]) -> Iterator[Event]:
        began, total = time.monotonic(), len(todo)
        size = self.config.batch_size
        while self.done < total:
            if should_stop():
                values = {"made": str(self.made), "left": str(total - self.done)}
                yield Stopped.saying("captions.stopped", **values)
                return
            batch = todo[self.done : self.done + size]
            captions = self._described(batch)
            if captions is None:
                if size == 1:
                    raise StudioError("captions.no_memory", name=self.by.author)
                size //= 2
                _free_memory()
                yield Warned.saying("captions.less_memory", size=size)
                continue
            for drawing in batch:
                self.done += 1
                yield from self._keep(drawing, captions.get(drawing.id), total)
        if self.failed == total:
            raise StudioError("captions.none_made", count=total)
        seconds = max(time.monotonic() - began, 1e-6)
        figures = {"captions": self.made, "caption_seconds": seconds, "captions_per_second": self.made / seconds}
        yield Finished(key="captions.finished", values={"made": str(self.made)}, figures=figures)

    def _keep(self, drawing: Drawing, said: "str | Sentence | None", total: int) -> Iterator[Event]:
        """Commit one caption, then tell it; or tell why there is none."""
        if not said or isinstance(said, Sentence):
            self.failed += 1
            yield Warned.of(said or sentence("captions.empty", name=drawing.original_name))
        else:
            try:
                after = self.catalogue.save_caption(drawing.id, said, self.by, expected=drawing.revision)
            except CaptionConflict:
                return  # a person changed it meanwhile: theirs stands
            self.made += 1
            yield Captioned(drawing=drawing.id, caption=after.caption, done=self.done, total=total)

    def _described(self, batch: list[Drawing]) -> "dict[str, str | Sentence] | None":
        """What is said of each drawing by id, or why nothing can be; None when the memory does not suffice."""
        found: dict[str, str | Sentence] = {}
        images: dict[str, Image.Image] = {}
        for drawing in batch:
            try:
                with Image.open(drawing.path(self.catalogue.project), formats=("WEBP",)) as image:
                    images[drawing.id] = image.convert("RGB")
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                found[drawing.id] = sentence("captions.unreadable", name=drawing.original_name)
        try:
            said = describe(self.captioner, list(images.values()), self.config) if images else []
        except (RuntimeError, ValueError, MemoryError) as error:
            if _is_out_of_memory(error):
                return None
            if len(images) > 1:  # one of them is to blame: each alone
                return self._one_by_one(batch)
            logging.getLogger(__name__).exception("captioning failed")
            return found | {name: sentence("captions.failed", name=batch[0].original_name) for name in images}
        return found | dict(zip(images, said, strict=True))

    def _one_by_one(self, batch: list[Drawing]) -> "dict[str, str | Sentence] | None":
        alone = [self._described([drawing]) for drawing in batch]
        if None in alone:
            return None
        return {name: said for part in alone for name, said in part.items()}


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return "out of memory" in str(error) or "can't allocate memory" in str(error)
