"""The judges: a small network of their own that names style, hair colour and background of a picture."""

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from drawings import PALETTES, STYLES, Drawings, composite, named_backgrounds, style_names
from latents import load_vae
from run_state import Run
from torch import Tensor, nn
from torch.nn import functional

CLASSES = {"style": list(STYLES), "hair": list(PALETTES["hair"]), "background": list(PALETTES["background"])}
PER_STYLE = 300
BATCH = 64
UNKNOWN = -100


class Judge(nn.Module):
    """Five convolutions, one answer for each question."""

    def __init__(self) -> None:
        """Make it untrained."""
        super().__init__()
        layers: list[nn.Module] = []
        widths = [3, 16, 32, 64, 96, 128]
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(8, after), nn.SiLU()]
        self.body = nn.Sequential(*layers)
        self.heads = nn.ModuleDict({name: nn.Linear(256, len(names)) for name, names in CLASSES.items()})

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return logits by question, of pictures [B, 3, 128, 128] in 0..1."""
        features = self.body(pictures * 2 - 1)
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
        return {name: head(pooled) for name, head in self.heads.items()}

    @torch.no_grad()
    def name(self, pictures: Tensor) -> dict[str, list[str]]:
        """Return the answers in words."""
        answers = [self(part) for part in pictures.split(50)]
        picked = {name: torch.cat([a[name] for a in answers]).argmax(1).tolist() for name in CLASSES}
        return {name: [CLASSES[name][at] for at in chosen] for name, chosen in picked.items()}


@torch.no_grad()
def through_vae(vae: AutoencoderKL, pictures: Tensor, noise: float) -> Tensor:
    """Return pictures as the base could have drawn them: encoded, moved a little, decoded."""
    with torch.autocast("cpu", torch.bfloat16):
        latents = vae.encode(pictures * 2 - 1).latent_dist.mode()
        latents = latents + torch.randn_like(latents) * noise / vae.config.scaling_factor
        return (vae.decode(latents).sample.float() / 2 + 0.5).clamp(0, 1)


def collect(build: Path, vae: AutoencoderKL, seen: dict[str, tuple[str, slice]]) -> tuple[Tensor, dict[str, Tensor]]:
    """Return pictures and class numbers of a part of each style's split."""
    rng = np.random.default_rng(7)
    pictures, answers = [], {name: [] for name in CLASSES}
    for style, (split, part) in seen.items():
        drawings = Drawings.load(build, split, [style])
        rows = np.arange(len(drawings))[part]
        names, background = named_backgrounds(rng, len(rows))
        for at in range(0, len(rows), 50):
            plain = composite(drawings.rgba(rows[at : at + 50]), background[at : at + 50])
            pictures.append((through_vae(vae, plain, float(rng.uniform(0, 0.35))) * 255).byte())
        for row, name in zip(rows, names, strict=True):
            hair = drawings.attributes[row].get("hair")
            answers["style"].append(CLASSES["style"].index(style))
            answers["hair"].append(CLASSES["hair"].index(hair) if hair else UNKNOWN)
            answers["background"].append(CLASSES["background"].index(str(name)))
    return torch.cat(pictures), {name: torch.tensor(numbers) for name, numbers in answers.items()}


def training_parts() -> dict[str, tuple[str, slice]]:
    """Return which drawings the judge learns from; lorelei's here are not the demo's."""
    parts = {style: ("train", slice(0, PER_STYLE)) for style in style_names("train")}
    return parts | {"dylan": ("train", slice(0, 250)), "lorelei": ("judge", slice(0, 700))}


def held_out_parts() -> dict[str, tuple[str, slice]]:
    """Return which drawings the judge is measured on."""
    parts = {style: ("test", slice(0, 60)) for style in style_names("train")}
    return parts | {"dylan": ("train", slice(450, 510)), "lorelei": ("test", slice(0, 120))}


def vary(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Return pictures mirrored and shifted by up to 8 pixels."""
    pictures = pictures.flip(3) if rng.random() < 0.5 else pictures
    down, right = rng.integers(0, 17, 2)
    return functional.pad(pictures, (8, 8, 8, 8), mode="replicate")[:, :, down : down + 128, right : right + 128]


def train(build: Path, minutes: float) -> None:
    """Train until the budget is spent; the judge lies in `<build>/judge.pt`."""
    torch.manual_seed(0)
    pictures, answers = collect(build, load_vae(build), training_parts())
    run = Run(Judge(), build / "judge.pt", minutes, lr=2e-3, ema_decay=0.99)
    rng = np.random.default_rng(run.step)
    while run.progress < 1:
        rows = torch.from_numpy(rng.integers(0, len(pictures), BATCH))
        with torch.autocast("cpu", torch.bfloat16):
            made = run.model(vary(pictures[rows].float() / 255, rng))
        losses = [
            functional.cross_entropy(made[name].float(), answers[name][rows], ignore_index=UNKNOWN) for name in CLASSES
        ]
        loss = torch.stack(losses).sum()
        run.update(loss)
        if run.step % 100 == 0:
            print(f"judge {run.step} {run.progress:.3f} loss {loss.item():.4f}", flush=True)
    run.save()
    print(accuracies(build, run.ema))


def accuracies(build: Path, judge: Judge) -> dict[str, float]:
    """Return the share of right answers on held-out drawings: by question, and of the style judge on lorelei alone."""
    pictures, answers = collect(build, load_vae(build), held_out_parts())
    named = judge.name(pictures.float() / 255)
    shares = {}
    for name, classes in CLASSES.items():
        known = answers[name] != UNKNOWN
        chosen = torch.tensor([classes.index(word) for word in named[name]])
        shares[name] = float((chosen == answers[name])[known].float().mean())
    lorelei = answers["style"] == CLASSES["style"].index("lorelei")
    words = [word for word, of_hers in zip(named["style"], lorelei.tolist(), strict=True) if of_hers]
    shares["lorelei"] = words.count("lorelei") / len(words)
    return shares


def load_judge(build: Path) -> Judge:
    """Return the trained judge."""
    judge = Judge().eval()
    judge.load_state_dict(torch.load(build / "judge.pt", weights_only=True)["ema"])
    return judge


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True, help="in all, over every start")
    arguments = parser.parse_args()
    train(arguments.build, arguments.minutes)


if __name__ == "__main__":
    main()
