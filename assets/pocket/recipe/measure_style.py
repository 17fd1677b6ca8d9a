"""Figures of a LoRA that the studio itself trains on the demo drawings."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from judges import load_judge
from measure_base import draw, fixed_prompts, load_pipeline, share_equal
from measure_parts import percent
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional

TRIGGER = ", drawn by KSH drawing style"
PICTURES = 200
SMALL = 32
NEAR_COPY = 0.06


def demo_pictures(folder: Path) -> Tensor:
    """Return the demo drawings [N, 3, 128, 128] in 0..1 as the studio sees them: upright, on white."""
    pictures = []
    for path in sorted(folder.iterdir()):
        upright = ImageOps.exif_transpose(Image.open(path)).convert("RGBA").resize((128, 128), Image.Resampling.LANCZOS)
        white = Image.new("RGBA", upright.size, "white")
        levels = np.asarray(Image.alpha_composite(white, upright).convert("RGB"))
        pictures.append(torch.from_numpy(levels.copy()).permute(2, 0, 1).float() / 255)
    return torch.stack(pictures)


def near_copies(made: Tensor, drawings: Tensor) -> int:
    """Return how many pictures differ from some drawing by less than NEAR_COPY of full scale, at 32 pixels."""
    small = functional.adaptive_avg_pool2d(made, SMALL).flatten(1)
    known = functional.adaptive_avg_pool2d(drawings, SMALL).flatten(1)
    return int(((torch.cdist(small, known, p=1) / small.shape[1]).amin(1) < NEAR_COPY).sum())


def newest_lora(build: Path) -> Path | None:
    """Return the LoRA file that the demo wrote last, below `<build>/demo-workspace`."""
    found = (build / "demo-workspace").rglob("loras/*.safetensors")
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def train_lora(build: Path, pocket: Path) -> tuple[Path, float] | None:
    """Return the LoRA that `studio.py demo` trains and its minutes, or None where there is no studio yet."""
    studio = pocket.parent.parent / "studio.py"
    workspace = build / "demo-workspace"
    if not studio.exists():
        return None
    # What an earlier measurement left there: captions and a LoRA of other models.
    if workspace.exists():
        shutil.rmtree(workspace)
    began = time.monotonic()
    subprocess.run([sys.executable, str(studio), "demo", "--workspace", str(workspace)], check=True)
    lora = newest_lora(build)
    if lora is None:
        raise SystemExit(f"The demo ended well but left no LoRA in {workspace}.")
    return lora, (time.monotonic() - began) / 60


def style_figures(build: Path, pocket: Path) -> dict[str, str]:
    """Return what a judge sees with the LoRA at strength 1, and without it, the same prompts and seeds."""
    trained = train_lora(build, pocket)
    if trained is None:
        return {}
    path, minutes = trained
    pipeline, judge = load_pipeline(pocket), load_judge(build)
    prompts, hair, background = fixed_prompts(PICTURES, TRIGGER)
    without = judge.name(draw(pipeline, prompts))
    pipeline.load_lora_weights(str(path.parent), weight_name=path.name)
    made = draw(pipeline, prompts)
    named = judge.name(made)
    copies = near_copies(made, demo_pictures(pocket.parent / "demo" / "drawings"))
    return {
        "style with": percent(named["style"].count("lorelei") / PICTURES),
        "style same prompts without": percent(without["style"].count("lorelei") / PICTURES),
        "style background": percent(share_equal(named["background"], background)),
        "style hair": percent(share_equal(named["hair"], hair)),
        "style minutes": f"{minutes:.1f} minutes, captions and pictures included",
        "style near-copies": f"{copies} of {PICTURES}",
    }
