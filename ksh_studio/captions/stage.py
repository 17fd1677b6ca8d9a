"""The Caption stage: captions the drawings of a project, and commits each caption as soon as it is made."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from PIL import Image

from ksh_studio.captions.captioners.blip2 import Blip2, load_blip2, write_captions
from ksh_studio.captions.settle import author, settle
from ksh_studio.config import CaptionConfig, SettledCaptioning
from ksh_studio.errors import StudioError
from ksh_studio.events import Captioned, Event, Finished, Progress, Started, Stopped, Warned
from ksh_studio.locales import Sentence, sentence
from ksh_studio.models.choice import captioner_of
from ksh_studio.models.device import pick_device
from ksh_studio.models.memory import free_memory, is_out_of_memory
from ksh_studio.models.registry import captioner_entry
from ksh_studio.project.catalogue import By, CaptionConflict, Catalogue, Drawing
from ksh_studio.project.workspace import Project

Captions = Mapping[str, str | Sentence]
"""The caption of each drawing, or the sentence that says why it has none, by the drawing's id."""


def caption(config: CaptionConfig, project: Project, should_stop: Callable[[], bool]) -> Iterator[Event]:
    """Caption the drawings that `config.overwrite` says, a batch at a time.

    Yields Started, one Captioned for each caption after its commit, warnings, and Finished or Stopped. When it was
    killed, the next call does only what is left. A caption that a person changes in the meantime is kept.
    Raises StudioError when there are no drawings, the captioner cannot be loaded, or not one caption could be made.
    """
    device = pick_device()
    entry = captioner_entry(captioner_of(project, device.type, config.captioner))
    settled = settle(config, entry)
    by = author(settled, entry)
    with Catalogue(project) as catalogue:
        pending = catalogue.pending(config.overwrite, by)
        if not catalogue.counts()["all"]:
            raise StudioError("captions.no_drawings")
        if not pending:
            yield Finished.saying("captions.nothing_to_do")
            return
        yield Progress(phase="load", done=0, total=1)
        captioner = load_blip2(entry, device)
        yield Progress(phase="load", done=1, total=1)
        precision = str(captioner.model.dtype).removeprefix("torch.")
        yield Started(stage="caption", total=len(pending), device=f"{device.type}, {precision}")
        yield from _Captioning(catalogue, captioner, settled, by).events(pending, should_stop)


@dataclass
class _Captioning:
    """One pass over the drawings that need a caption."""

    catalogue: Catalogue
    captioner: Blip2
    config: SettledCaptioning
    by: By
    made: int = 0
    failed: int = 0
    done: int = 0

    def events(self, drawings: list[Drawing], should_stop: Callable[[], bool]) -> Iterator[Event]:
        began, total = time.monotonic(), len(drawings)
        size = self.config.batch_size
        while self.done < total:
            if should_stop():
                yield Stopped.saying("captions.stopped", made=self.made, left=total - self.done)
                return
            batch = drawings[self.done : self.done + size]
            captions = self._captions(batch)
            if captions is None:
                if size == 1:
                    raise StudioError("captions.no_memory", name=self.by.author)
                size //= 2
                free_memory(self.captioner.device)
                yield Warned.saying("captions.less_memory", size=size)
                continue
            for drawing in batch:
                self.done += 1
                yield from self._save(drawing, captions[drawing.id], total)
        if self.failed == total:
            raise StudioError("captions.none_made", count=total)
        seconds = max(time.monotonic() - began, 1e-6)
        figures = {"captions": self.made, "caption_seconds": seconds, "captions_per_second": self.made / seconds}
        yield Finished(key="captions.finished", values={"made": str(self.made)}, figures=figures)

    def _save(self, drawing: Drawing, caption: str | Sentence, total: int) -> Iterator[Event]:
        """Commit one caption and yield Captioned, or yield a warning that says why there is none."""
        if not caption:
            caption = sentence("captions.empty", name=drawing.original_name)
        if isinstance(caption, Sentence):
            self.failed += 1
            yield Warned.of(caption)
            return
        try:
            saved = self.catalogue.save_caption(drawing.id, caption, self.by, expected=drawing.revision)
        except CaptionConflict:
            return  # a person has changed it in the meantime: that caption is kept
        self.made += 1
        yield Captioned(drawing=drawing.id, caption=saved.caption, done=self.done, total=total)

    def _captions(self, batch: list[Drawing]) -> Captions | None:
        """The captions of a batch; None when there is not enough memory for it."""
        failures: dict[str, str | Sentence] = {}
        images: dict[str, Image.Image] = {}
        for drawing in batch:
            try:
                with Image.open(drawing.path(self.catalogue.project), formats=("WEBP",)) as image:
                    images[drawing.id] = image.convert("RGB")
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                failures[drawing.id] = sentence("captions.unreadable", name=drawing.original_name)
        try:
            captions = write_captions(self.captioner, list(images.values()), self.config) if images else []
        except (RuntimeError, ValueError, MemoryError) as error:
            if is_out_of_memory(error):
                return None
            if len(images) > 1:  # one of them caused it: try each alone
                return self._one_by_one(batch)
            logging.getLogger(__name__).exception("captioning failed")
            names = {drawing.id: drawing.original_name for drawing in batch}
            return failures | {id_: sentence("captions.failed", name=names[id_]) for id_ in images}
        return failures | dict(zip(images, captions, strict=True))

    def _one_by_one(self, batch: list[Drawing]) -> Captions | None:
        captions: dict[str, str | Sentence] = {}
        for drawing in batch:
            alone = self._captions([drawing])
            if alone is None:
                return None
            captions |= alone
        return captions
