"""Small pictures for the tests of drawings, and an import of them in one call."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from ksh_studio.drawings.importing import import_drawings
from ksh_studio.events import Imported, Warned
from ksh_studio.project.workspace import Project


def picture(seed: int = 0, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """A small picture that no other seed gives."""
    grid = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(grid).resize(size, Image.Resampling.NEAREST)


def data_of(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The picture as a file of this kind."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def save_pictures(folder: Path, *names: str, first: int = 0) -> Path:
    """Save a picture of its own under each name, from seed `first` on; gives the folder."""
    for number, name in enumerate(names, first):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path)
    return folder


def run_import(source: object, project: Project, **options: object) -> tuple[Imported, list[Warned]]:
    """Import to the end: the Imported event, and the warnings."""
    events = list(import_drawings(source, project, **options))
    assert events[-1].kind == "finished"
    return next(e for e in events if isinstance(e, Imported)), [e for e in events if isinstance(e, Warned)]
