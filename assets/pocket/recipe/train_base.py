"""Train the UNet and the text encoder together on cached latents."""

import argparse
from pathlib import Path

import numpy as np
import torch
from base_model import TOKENS, Denoiser, new_scheduler, write_tokenizer
from captions import base_caption
from drawings import Drawings, style_names
from latents import cache_latents, load_vae
from run_state import Run
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTokenizer

BATCH = 32
SNR_GAMMA = 5.0
ROUNDS = 2


class Cached:
    """Latents in memory with what is needed to caption them anew each time."""

    def __init__(self, build: Path, rounds: int) -> None:
        """Read all rounds."""
        saved = [torch.load(build / f"latents-{number}.pt", weights_only=True) for number in range(rounds)]
        self.latents = torch.cat([part["latents"] for part in saved])
        self.backgrounds = [name for part in saved for name in part["background"]]
        self.attributes = Drawings.load(build, "train", style_names("train")).attributes

    def batch(self, rng: np.random.Generator, count: int) -> tuple[Tensor, list[str]]:
        """Return scaled latents [B, C, h, w] and captions."""
        rows = rng.integers(0, len(self.latents), count)
        known = [self.attributes[row % len(self.attributes)] for row in rows]
        captions = [base_caption(a, self.backgrounds[row], rng) for a, row in zip(known, rows, strict=True)]
        return self.latents[rows].float(), captions


def loss_of(denoiser: Denoiser, latents: Tensor, input_ids: Tensor, levels: Tensor) -> Tensor:
    """Return the min-SNR weighted squared error of the noise (Hang et al. 2023, arXiv:2303.09556, section 3.4)."""
    timesteps = torch.randint(0, len(levels), (len(latents),))
    level = levels[timesteps][:, None, None, None]
    noise = torch.randn_like(latents)
    noisy = level.sqrt() * latents + (1 - level).sqrt() * noise
    states = denoiser.text_encoder(input_ids).last_hidden_state
    made = denoiser.unet(noisy, timesteps, states).sample.float()
    snr = levels[timesteps] / (1 - levels[timesteps])
    weight = snr.clamp(max=SNR_GAMMA) / snr
    return (functional.mse_loss(made, noise, reduction="none").mean((1, 2, 3)) * weight).mean()


def train(build: Path, tokenizer: CLIPTokenizer, minutes: float) -> None:
    """Train until the budget is spent."""
    torch.manual_seed(0)
    cached = Cached(build, ROUNDS)
    run = Run(Denoiser(), build / "base.pt", minutes, lr=1e-3)
    rng = np.random.default_rng(run.step)
    torch.manual_seed(run.step)
    levels = new_scheduler().alphas_cumprod
    total = 0.0
    while run.progress < 1:
        latents, captions = cached.batch(rng, BATCH)
        # Padded to the full length: the model sees the padding of every later prompt.
        tokens = tokenizer(captions, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt")
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(run.model, latents, tokens.input_ids, levels)
        run.update(loss)
        total += loss.item()
        if run.step % 100 == 0:
            print(f"base {run.step} {run.progress:.3f} loss {total / 100:.4f} {run.spent_s:.0f} s", flush=True)
            total = 0.0
    run.save()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    arguments = parser.parse_args()
    tokenizer = write_tokenizer(arguments.vocabulary, arguments.build / "tokenizer")
    cache_latents(arguments.build, load_vae(arguments.build), ROUNDS)
    train(arguments.build, tokenizer, arguments.minutes)


if __name__ == "__main__":
    main()
