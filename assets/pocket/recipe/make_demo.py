"""Write the demo project's 40 drawings, with the mixed reality of an artist's folder."""

import argparse
from pathlib import Path

import numpy as np
import torch
from drawings import PALETTES, Drawings, composite, rgb
from PIL import Image

COUNT = 40
PIXELS = 512
TRANSPARENT = {5, 12, 19, 26, 33, 38}
ROTATED_JPEG, PLAIN_JPEG, WEBP, KOREAN = 8, 16, 24, 31
ORIENTATION = 0x0112
QUARTER_TURN_TO_THE_RIGHT = 6
README = """# Demo drawings

The 40 drawings in `drawings/` are by **Lisa Wischofsky**: the avatar style *Lorelei*,
<https://www.figma.com/community/file/1198749693280469639>, under
[CC0 1.0](https://creativecommons.org/publicdomain/zero/1.0/) (public domain), taken from the npm package
`@dicebear/lorelei` 9.4.3. Hair, skin and background colours were chosen for this project. Neither pocket model has seen
anything drawn by her in training.

They are as mixed as a real folder: {transparent} are transparent, one JPEG (`{rotated}`) is stored lying down with an
EXIF orientation, one is a plain JPEG (`{jpeg}`), one a WebP (`{webp}`), one has a Korean name (`{korean}`).
They have no captions: making them is the studio's first step.
"""


def file_name(index: int) -> str:
    """Return the name of drawing `index`, counted from 0."""
    if index == KOREAN:
        return "로렐라이-그림.png"
    ending = {ROTATED_JPEG: "jpg", PLAIN_JPEG: "jpg", WEBP: "webp"}.get(index, "png")
    return f"lorelei-{index + 1:02d}.{ending}"


def write(index: int, rgba: torch.Tensor, background: str, folder: Path) -> None:
    """Write one drawing, from premultiplied RGBA [4, H, W] in 0..1."""
    path = folder / file_name(index)
    if index in TRANSPARENT:
        colour = rgba[:3] / rgba[3:].clamp(min=1 / 255)
        levels = (torch.cat([colour, rgba[3:]]).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(levels, "RGBA").quantize(64, method=Image.Quantize.FASTOCTREE).save(path, optimize=True)
        return
    plain = torch.tensor([rgb(PALETTES["background"][background])]) / 255
    levels = (composite(rgba[None], plain)[0] * 255).round().byte().permute(1, 2, 0).numpy()
    picture = Image.fromarray(np.ascontiguousarray(levels))
    if index == ROTATED_JPEG:
        exif = Image.Exif()
        exif[ORIENTATION] = QUARTER_TURN_TO_THE_RIGHT
        picture.transpose(Image.Transpose.ROTATE_90).save(path, quality=92, exif=exif)
    elif index == PLAIN_JPEG:
        picture.save(path, quality=92)
    elif index == WEBP:
        picture.save(path, quality=90)
    else:
        picture.quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    folder = arguments.out / "drawings"
    folder.mkdir(parents=True, exist_ok=True)
    drawings = Drawings.load(arguments.build, "demo", ["lorelei"], PIXELS)
    names = list(PALETTES["background"])
    order = np.random.default_rng(0).permutation(np.arange(COUNT) % len(names))
    for index in range(COUNT):
        write(index, drawings.rgba(np.array([index]))[0], names[order[index]], folder)
    special = {"rotated": ROTATED_JPEG, "jpeg": PLAIN_JPEG, "webp": WEBP, "korean": KOREAN}
    text = README.format(transparent=len(TRANSPARENT), **{key: file_name(at) for key, at in special.items()})
    (arguments.out / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
