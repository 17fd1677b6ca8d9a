"""Figures of the autoencoder, the captioner, the judges and the folders."""

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from drawings import PALETTES, Drawings, composite, named_backgrounds, style_names
from judges import accuracies, load_judge
from PIL import Image
from train_captioner import write_captions
from train_vae import errors
from transformers import Blip2ForConditionalGeneration, Blip2Processor

MEGA = 1e6


def percent(share: float) -> str:
    """Return a share in words."""
    return f"{100 * share:.1f} %"


def vae_figures(build: Path, pocket: Path) -> dict[str, str]:
    """Return errors on drawings never trained on."""
    vae = AutoencoderKL.from_pretrained(pocket / "base" / "vae").eval()
    whole, inside = errors(vae, Drawings.load(build, "test", style_names("train")), 420)
    demo, demo_inside = errors(vae, Drawings.load(build, "test", style_names("demo")), 200)
    return {
        "vae whole": f"{whole:.4f}",
        "vae inside": f"{inside:.4f}",
        "vae demo artist": f"{demo:.4f} (inside {demo_inside:.4f})",
    }


def colour_before(text: str, noun: str, colours: list[str]) -> str | None:
    """Return the colour named right before a noun."""
    words = text.replace(",", " ").split()
    return next((w for w, after in zip(words, words[1:], strict=False) if after == noun and w in colours), None)


def captioned_right(folder: Path, drawings: Drawings, rows: np.ndarray) -> dict[str, list[bool]]:
    """Return, for each question, whether each caption answers it rightly."""
    model = Blip2ForConditionalGeneration.from_pretrained(folder).eval()
    processor = Blip2Processor.from_pretrained(folder)
    names, background = named_backgrounds(np.random.default_rng(11), len(rows))
    levels = (composite(drawings.rgba(rows), background) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    captions = write_captions(model, processor, [Image.fromarray(picture) for picture in levels])
    right: dict[str, list[bool]] = {"hair": [], "background": [], "glasses": []}
    for row, name, text in zip(rows, names, captions, strict=True):
        known = drawings.attributes[row]
        right["background"].append(colour_before(text, "background", list(PALETTES["background"])) == name)
        if "hair" in known:
            right["hair"].append(colour_before(text, "hair", list(PALETTES["hair"])) == known["hair"])
        if "glasses" in known:
            right["glasses"].append(("glasses" in text) == known["glasses"])
    return right


def captioner_figures(build: Path, pocket: Path) -> dict[str, str]:
    """Return shares of right captions on drawings never trained on."""
    known = Drawings.load(build, "test", style_names("train"))
    right = captioned_right(pocket / "captioner", known, np.arange(0, len(known), 2))
    figures = {f"captioner {name}": percent(float(np.mean(marks))) for name, marks in right.items()}
    demo = Drawings.load(build, "test", style_names("demo"))
    right = captioned_right(pocket / "captioner", demo, np.arange(len(demo)))
    return figures | {f"captioner demo {name}": percent(float(np.mean(marks))) for name, marks in right.items()}


def judge_figures(build: Path, pocket: Path) -> dict[str, str]:
    """Return how often the judges are right on held-out pictures."""
    del pocket
    torch.manual_seed(0)
    return {f"judge {name}": percent(share) for name, share in accuracies(build, load_judge(build)).items()}


def asset_sizes(build: Path, pocket: Path) -> dict[str, str]:
    """Return the size of everything that ships, and of the largest file."""
    del build
    sizes = [path.stat().st_size for path in pocket.parent.rglob("*") if path.is_file()]
    return {"assets MB": f"{sum(sizes) / MEGA:.1f} MB", "largest MB": f"{max(sizes) / MEGA:.1f} MB"}
