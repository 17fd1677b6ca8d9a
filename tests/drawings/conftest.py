"""What the tests of drawings share: small pictures, and the events of an import sorted by what they say."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ksh_studio.drawings.importing import import_drawings
from ksh_studio.events import Imported, Warned


def picture(seed: int = 0, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """A small picture that no other seed gives."""
    grid = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(grid).resize(size, Image.Resampling.NEAREST)


def save_pictures(folder: Path, *names: str, first: int = 0) -> Path:
    for number, name in enumerate(names, first):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path)
    return folder


def run_import(source, project, **options) -> tuple[Imported, list[Warned]]:
    """What an import said: its Imported event, and its warnings."""
    said = list(import_drawings(source, project, **options))
    assert said[-1].kind == "finished"
    return next(e for e in said if isinstance(e, Imported)), [e for e in said if isinstance(e, Warned)]


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "그림 폴더"
    made.mkdir()
    return made
