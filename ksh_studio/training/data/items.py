"""The project's drawings as training sees them: file, caption with trigger, crop."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ksh_studio.config import SettledTraining, Trigger
from ksh_studio.errors import StudioError
from ksh_studio.locales import Sentence, sentence
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.project.workspace import Project
from ksh_studio.training.data.buckets import Crop, fit
from ksh_studio.training.data.tag_orders import tag_orders


@dataclass(frozen=True)
class Item:
    """One drawing."""

    id: str
    path: Path
    caption: str
    """With the trigger in its place."""
    crop: Crop
    digest: str
    """SHA-256 of its pixels: what the latents' cache is keyed by."""
    tag_orders: tuple[str, ...] = ()
    """The caption with its tags in other orders, where they are shuffled."""
    name: str = ""
    """The artist's own file name."""


def load_items(
    project: Project, trigger: Trigger, config: SettledTraining, step: int
) -> tuple[list[Item], list[Sentence]]:
    """The drawings that can be trained on, in the catalogue's order, and what is to be said of the others.

    Sides of training pictures are multiples of `step`. A drawing without a caption gets the trigger alone. Whether the
    pictures are there is found out when they are encoded: what the cache has needs none of them.
    Raises StudioError when no drawing is left.
    """
    items, warnings, bare = [], [], 0
    with Catalogue(project) as catalogue:
        drawings = catalogue.drawings()
    for drawing in drawings:
        try:
            crop = fit(drawing.width, drawing.height, config.resolution, step, config.crop)
        except ValueError:
            size = {"width": drawing.width, "height": drawing.height, "least": step}
            warnings.append(sentence("train.drawing_small", name=drawing.original_name, **size))
            continue
        bare += not drawing.caption
        caption = trigger.apply(drawing.caption)
        orders = tag_orders(caption, trigger, config.keep_tags) if config.shuffle_tags else ()
        path, name = drawing.path(project), drawing.original_name
        items.append(Item(drawing.id, path, caption, crop, drawing.pixel_sha256, orders, name))
    if not items:
        raise StudioError("train.no_drawings")
    if bare:
        warnings.append(sentence("train.no_captions", count=bare, total=len(items)))
    return items, warnings


def digest_of(items: list[Item]) -> str:
    """What a resumed job compares: drawings, captions and crops, in order."""
    parts = [(item.digest, item.caption, repr(item.crop)) for item in items]
    return hashlib.sha256(repr(parts).encode()).hexdigest()
