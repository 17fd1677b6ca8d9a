"""Draw the contact sheet of the project's README: the base alone, then a LoRA at three strengths, the same seeds.

The LoRA is the one that `measure.py` had the demo train.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from drawings import HERE
from measure_base import draw, load_pipeline
from measure_style import TRIGGER, newest_lora
from PIL import Image

STRENGTHS = (0.5, 1.0, 1.3)
ENLARGED = 160
PROMPTS = [
    f"{person}, {hair} hair, {background} background{TRIGGER}"
    for person, hair, background in (
        ("an anime girl", "blue", "pink"),
        ("a boy", "green", "yellow"),
        ("a woman", "red", "white"),
        ("a person", "black", "orange"),
        ("a girl", "purple", "green"),
        ("a portrait", "blonde", "blue"),
    )
]


def sheet(pocket: Path, lora: Path) -> Image.Image:
    """Return rows without the LoRA and at each of STRENGTHS, a column for each of PROMPTS."""
    pipeline = load_pipeline(pocket)
    rows = [draw(pipeline, PROMPTS)]
    pipeline.load_lora_weights(str(lora.parent), weight_name=lora.name, adapter_name="style")
    for strength in STRENGTHS:
        pipeline.set_adapters("style", strength)
        rows.append(draw(pipeline, PROMPTS))
    joined = torch.cat([torch.cat(list(row), 2) for row in rows], 1)
    levels = np.uint8(joined.permute(1, 2, 0).numpy() * 255 + 0.5)
    size = (ENLARGED * len(PROMPTS), ENLARGED * len(rows))
    return Image.fromarray(levels).resize(size, Image.Resampling.LANCZOS)


def write_beside(picture: Image.Image, path: Path) -> None:
    """Write a PNG beside its place, then rename."""
    path.parent.mkdir(exist_ok=True)
    beside = path.with_name(path.name + ".new")
    picture.save(beside, format="PNG", optimize=True)
    os.replace(beside, path)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--pocket", type=Path, default=HERE.parent)
    arguments = parser.parse_args()
    lora = newest_lora(arguments.build)
    if lora is None:
        raise SystemExit(f"There is no LoRA in {arguments.build / 'demo-workspace'}: run measure.py first.")
    write_beside(sheet(arguments.pocket, lora), arguments.pocket.parent / "screenshots" / "contact-sheet.png")


if __name__ == "__main__":
    main()
