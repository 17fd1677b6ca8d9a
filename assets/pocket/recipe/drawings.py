"""The rendered drawings: raw pixels as one memory map for each file, attributes as JSON lines."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

HERE = Path(__file__).resolve().parent
TABLE = json.loads((HERE / "styles.json").read_text(encoding="utf-8"))
PALETTES: dict[str, dict[str, str]] = TABLE["palettes"]
STYLES: dict[str, dict] = TABLE["styles"]
SIZE = 128


def style_names(role: str) -> list[str]:
    """Return the styles with this role: "train", "holdout" or "demo"."""
    return [name for name, entry in STYLES.items() if entry["role"] == role]


def styles_with_glasses() -> list[str]:
    """Return the training styles that know glasses; of each drawing there is a twin, its glasses put on or off."""
    return [name for name in style_names("train") if STYLES[name]["glasses"]]


def rgb(hex_colour: str) -> tuple[int, int, int]:
    """Return the three levels, 0-255, of a colour written as six hex digits."""
    return tuple(int(hex_colour[at : at + 2], 16) for at in (0, 2, 4))


@dataclass(frozen=True)
class Drawings:
    """Pictures of one or more styles: premultiplied RGBA and what is known about each."""

    pixels: list[np.ndarray]
    attributes: list[dict]
    starts: np.ndarray

    @classmethod
    def load(cls, build: Path, split: str, styles: list[str], size: int = SIZE) -> "Drawings":
        """Open `<build>/data/<split>-<style>` of every style; nothing is read until it is asked for."""
        pixels, attributes, starts = [], [], [0]
        for style in styles:
            path = build / "data" / f"{split}-{style}"
            lines = path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
            attributes += [json.loads(line) for line in lines]
            shape = (len(lines), size, size, 4)
            pixels.append(np.memmap(path.with_suffix(".rgba"), np.uint8, "r", shape=shape))
            starts.append(starts[-1] + len(lines))
        return cls(pixels, attributes, np.array(starts))

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.attributes)

    def rgba(self, indices: np.ndarray) -> Tensor:
        """Return premultiplied RGBA [B, 4, H, W] in 0..1."""
        files = np.searchsorted(self.starts, indices, side="right") - 1
        taken = [self.pixels[file][index - self.starts[file]] for file, index in zip(files, indices, strict=True)]
        return torch.from_numpy(np.stack(taken)).permute(0, 3, 1, 2).float() / 255


def composite(rgba: Tensor, background: Tensor) -> Tensor:
    """Return RGB [B, 3, H, W] in 0..1 on a plain background [B, 3] in 0..1."""
    return rgba[:, :3] + (1 - rgba[:, 3:]) * background[:, :, None, None]


def named_backgrounds(rng: np.random.Generator, count: int) -> tuple[list[str], Tensor]:
    """Return names from the palette and their colours [count, 3] in 0..1, moved by up to 3 % of full scale."""
    names = rng.choice(list(PALETTES["background"]), count)
    levels = np.array([rgb(PALETTES["background"][name]) for name in names]) / 255
    levels = (levels + rng.uniform(-0.03, 0.03, levels.shape)).clip(0, 1)
    return list(names), torch.from_numpy(levels).float()


def recolour(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Return pictures [B, 3, H, W] in 0..1 with channels mixed and contrast moved, each in its own way."""
    count = len(pictures)
    mix = np.stack([np.eye(3)[rng.permutation(3)] for _ in range(count)])
    pictures = torch.einsum("bchw,bdc->bdhw", pictures, torch.from_numpy(mix).float())
    gamma = torch.from_numpy(rng.uniform(0.6, 1.6, (count, 1, 1, 1))).float()
    return pictures.clamp(1e-4, 1) ** gamma
