"""The recipe's modules, as its scripts see each other; and a build folder with a few made-up drawings."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

HAIR = ["red", "blue", "green", "pink", "black", "brown"]
RECIPE = Path(__file__).resolve().parents[2] / "assets" / "pocket" / "recipe"


@pytest.fixture(scope="module")
def recipe():
    """Imports a module of the recipe by its name."""
    sys.path.insert(0, str(RECIPE))
    before = set(sys.modules)
    try:
        yield importlib.import_module
    finally:
        # The recipe's modules have plain names ("drawings"): no other test may find them.
        sys.path.remove(str(RECIPE))
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(RECIPE)):
                del sys.modules[name]


@pytest.fixture
def build(tmp_path, recipe):
    """A build folder: of each training style six grey squares, their twins with and without a black bar for glasses."""
    drawings = recipe("drawings")
    (tmp_path / "data").mkdir()
    for style in drawings.style_names("train"):
        for split in ("train", "twin"):
            pixels = np.zeros((6, 128, 128, 4), np.uint8)
            pixels[:, 24:104, 24:104] = (120, 120, 120, 255)
            known = []
            for at in range(6):
                known.append({"style": style, "seed": f"train-{style}-{at}", "hair": HAIR[at]})
                if style in drawings.styles_with_glasses():
                    known[at]["glasses"] = (at % 2 == 0) != (split == "twin")
                    if known[at]["glasses"]:
                        pixels[at, 48:56, 40:88] = (0, 0, 0, 255)
            path = tmp_path / "data" / f"{split}-{style}"
            path.with_suffix(".rgba").write_bytes(pixels.tobytes())
            path.with_suffix(".jsonl").write_text("".join(json.dumps(row) + "\n" for row in known), encoding="utf-8")
    return tmp_path
