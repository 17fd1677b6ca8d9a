"""Pictures as latents: the trained autoencoder, its scale, the base's cache, and a quick way back to RGB."""

import argparse
import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from drawings import Drawings, composite, named_backgrounds, style_names
from torch import Tensor
from torch.nn import functional
from train_vae import new_vae

BATCH = 40
SHARDS = 28
# Every drawing is there twice, on two backgrounds, the second time mirrored.
ROUNDS = 2
ENCODER = ("encoder.", "quant_conv.")
ENCODER_OF = "encoder.txt"


@torch.no_grad()
def encode(vae: AutoencoderKL, pictures: Tensor) -> Tensor:
    """Return unscaled latents [B, C, H/8, W/8] of pictures [B, 3, H, W] in 0..1."""
    with torch.autocast("cpu", torch.bfloat16):
        return vae.encode(pictures * 2 - 1).latent_dist.mode().float()


def sample_pictures(build: Path, count: int) -> Tensor:
    """Return pictures [count, 3, H, W] in 0..1 from all over the training set, on named backgrounds."""
    drawings = Drawings.load(build, "train", style_names("train"))
    indices = np.linspace(0, len(drawings) - 1, count).astype(int)
    return composite(drawings.rgba(indices), named_backgrounds(np.random.default_rng(0), count)[1])


def encoder_hash(weights: dict[str, Tensor]) -> str:
    """Return what tells one autoencoder's latents from another's."""
    made = hashlib.sha256()
    for name in sorted(weights):
        if name.startswith(ENCODER):
            made.update((weights[name] + 0.0).contiguous().numpy())  # -0.0 is no other encoder
    return made.hexdigest()


def averaged_vae(build: Path) -> dict[str, Tensor]:
    """Return the weights of `vae.pt`, or of `decoder.pt`, where a decoder was trained on for the same encoder."""
    weights = torch.load(build / "vae.pt", weights_only=True)["ema"]
    trained_on = build / "decoder.pt"
    if not trained_on.exists():
        return weights
    newer = torch.load(trained_on, weights_only=True)["ema"]
    if encoder_hash(newer) != encoder_hash(weights):
        raise SystemExit(f"{trained_on} belongs to another vae.pt: delete it, and {build / 'latents'}.")
    return newer


def check_latents(build: Path) -> None:
    """Stop where the cached latents are not those of the present encoder: a base that learned from them is neither."""
    made_by = build / "latents" / ENCODER_OF
    if not made_by.exists() or made_by.read_text(encoding="utf-8") != encoder_hash(averaged_vae(build)):
        raise SystemExit(
            f"{made_by.parent} holds another autoencoder's latents: delete it, and base.pt if it is there."
        )


def load_vae(build: Path) -> AutoencoderKL:
    """Return the averaged autoencoder, with the scaling factor that makes its latents' spread 1."""
    vae = new_vae().eval()
    vae.load_state_dict(averaged_vae(build))
    latents = encode(vae, sample_pictures(build, 120))
    vae.register_to_config(scaling_factor=round(1 / float(latents.std()), 5))
    return vae


def latent_to_rgb(build: Path, vae: AutoencoderKL) -> Tensor:
    """Return [C + 1, 3]: scaled latents times this, plus the last row, is RGB in about -1..1 (least squares)."""
    pictures = sample_pictures(build, 120)
    latents = encode(vae, pictures) * vae.config.scaling_factor
    small = functional.avg_pool2d(pictures * 2 - 1, 8)
    known = latents.permute(0, 2, 3, 1).flatten(0, 2)
    known = torch.cat([known, torch.ones(len(known), 1)], 1)
    return torch.linalg.lstsq(known, small.permute(0, 2, 3, 1).flatten(0, 2)).solution


def shard_path(build: Path, shard: int) -> Path:
    """Return where the latents of one shard lie."""
    return build / "latents" / f"{shard:02d}.pt"


def cache_latents(build: Path, vae: AutoencoderKL) -> None:
    """Write the latents of every training drawing, each on a background of its own, in shards of all styles."""
    drawings = Drawings.load(build, "train", style_names("train"))
    folder = build / "latents"
    folder.mkdir(exist_ok=True)
    if not any(folder.glob("*.pt")):
        part = folder / "encoder.part"
        part.write_text(encoder_hash(vae.state_dict()), encoding="utf-8")
        os.replace(part, folder / ENCODER_OF)
    check_latents(build)
    for shard in range(SHARDS * ROUNDS):
        path = shard_path(build, shard)
        if path.exists():
            continue
        rows = np.arange(shard % SHARDS, len(drawings), SHARDS)
        names, background = named_backgrounds(np.random.default_rng(1000 + shard), len(rows))
        parts = []
        for at in range(0, len(rows), BATCH):
            pictures = composite(drawings.rgba(rows[at : at + BATCH]), background[at : at + BATCH])
            pictures = pictures.flip(3) if shard >= SHARDS else pictures
            parts.append((encode(vae, pictures) * vae.config.scaling_factor).half())
        saved = {"latents": torch.cat(parts), "rows": rows.tolist(), "background": [str(name) for name in names]}
        torch.save(saved, path.with_suffix(".part"))
        os.replace(path.with_suffix(".part"), path)
        print(f"latents: shard {shard + 1} of {SHARDS * ROUNDS}", flush=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    arguments = parser.parse_args()
    cache_latents(arguments.build, load_vae(arguments.build))


if __name__ == "__main__":
    main()
