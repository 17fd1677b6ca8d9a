"""Train the autoencoder: 64 px crops first, whole pictures of 128 px at the end."""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from drawings import SIZE, Drawings, composite, named_backgrounds, recolour, style_names
from run_state import Run
from torch import Tensor

LATENT_CHANNELS = 8
WHOLE_FROM = 0.55
START_LOG_VARIANCE = -9.0
START_GAIN = 8.0
KL_WEIGHT = 1e-6
LATENT_NOISE = 0.07
BATCH = {64: 16, 128: 5}


def new_vae(channels: int = LATENT_CHANNELS) -> AutoencoderKL:
    """Return an untrained autoencoder, 8 pixels to a latent."""
    vae = AutoencoderKL(
        block_out_channels=(16, 32, 96, 160),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=SIZE,
    )
    # As diffusers starts it, the latents are nearly constant and the decoder learns to ignore them for good.
    with torch.no_grad():
        vae.encoder.conv_out.weight.mul_(START_GAIN)
        vae.encoder.conv_out.bias.zero_()
        vae.quant_conv.bias[:channels] = 0
        vae.quant_conv.bias[channels:] = START_LOG_VARIANCE
    return vae


def batch(drawings: Drawings, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
    """Return pictures [B, 3, size, size] in -1..1 and the figure's mask [B, 1, size, size].

    Crops keep the line width of 128 px. Half of the backgrounds are any colour and a third of the pictures are
    recoloured: an artist who is not in the data uses other colours.
    """
    count = BATCH[size]
    rgba = drawings.rgba(rng.integers(0, len(drawings), count))
    if size < SIZE:
        rows, columns = rng.integers(0, SIZE - size + 1, (2, count))
        crops = [p[:, r : r + size, c : c + size] for p, r, c in zip(rgba, rows, columns, strict=True)]
        rgba = torch.stack(crops)
    if rng.random() < 0.5:
        rgba = rgba.flip(3)
    _, background = named_backgrounds(rng, count)
    free = torch.from_numpy(rng.random((count, 3))).float()
    background = torch.where(torch.from_numpy(rng.random((count, 1)) < 0.5), free, background)
    pictures = composite(rgba, background)
    third = -(-count // 3)
    pictures = torch.cat([recolour(pictures[:third], rng), pictures[third:]])
    return pictures * 2 - 1, rgba[:, 3:]


def edges(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return the differences to the right and lower neighbour."""
    return pictures[..., 1:] - pictures[..., :-1], pictures[..., 1:, :] - pictures[..., :-1, :]


def loss_of(vae: AutoencoderKL, pictures: Tensor, mask: Tensor) -> Tensor:
    """Return L1, heavier inside the figure, plus L1 of the edges, plus KL_WEIGHT times KL."""
    posterior = vae.encode(pictures).latent_dist
    # The base draws latents that are a little off: the decoder must forgive that.
    off = LATENT_NOISE * posterior.mean.detach().std() * torch.randn_like(posterior.mean)
    decoded = vae.decode(posterior.sample() + off).sample.float()
    weight = 1 + mask
    loss = ((decoded - pictures).abs() * weight).mean()
    for made, real in zip(edges(decoded), edges(pictures), strict=True):
        loss = loss + 0.5 * (made - real).abs().mean()
    mean, log_variance = posterior.mean.float(), posterior.logvar.float()
    kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
    return loss + KL_WEIGHT * kl


@torch.no_grad()
def errors(vae: AutoencoderKL, drawings: Drawings, count: int = 200) -> tuple[float, float]:
    """Return the mean absolute error of full scale, over whole pictures and inside the figure."""
    rng = np.random.default_rng(0)
    whole, inside, area = 0.0, 0.0, 0.0
    for start in range(0, min(count, len(drawings)), 20):
        indices = np.linspace(0, len(drawings) - 1, min(count, len(drawings))).astype(int)[start : start + 20]
        rgba = drawings.rgba(indices)
        pictures = composite(rgba, named_backgrounds(rng, len(indices))[1])
        decoded = vae.decode(vae.encode(pictures * 2 - 1).latent_dist.mode()).sample.clamp(-1, 1) / 2 + 0.5
        off = (decoded - pictures).abs().mean(1, keepdim=True)
        whole += float(off.mean()) * len(indices)
        inside += float((off * rgba[:, 3:]).sum())
        area += float(rgba[:, 3:].sum())
    return whole / min(count, len(drawings)), inside / area


def train(build: Path, minutes: float, channels: int, name: str) -> None:
    """Train until the budget is spent; the averaged weights lie in the checkpoint."""
    torch.manual_seed(0)
    drawings = Drawings.load(build, "train", style_names("train"))
    vae = new_vae(channels).to(memory_format=torch.channels_last)
    run = Run(vae, build / f"{name}.pt", minutes, lr=1e-3)
    rng = np.random.default_rng(run.step)
    began, seen = time.monotonic(), 0
    while run.progress < 1:
        size = SIZE if run.progress > WHOLE_FROM else 64
        pictures, mask = batch(drawings, rng, size)
        # Not through torch.compile: under autocast its gradients were wrong (torch 2.13, CPU).
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(vae, pictures.contiguous(memory_format=torch.channels_last), mask)
        run.update(loss)
        seen += len(pictures)
        if run.step % 100 == 0:
            rate = seen / (time.monotonic() - began)
            began, seen = time.monotonic(), 0
            print(f"vae {run.step} {run.progress:.3f} loss {loss.item():.4f} {rate:.1f} pictures/s", flush=True)
        if run.step % 1000 == 0:
            print(f"vae {run.step} errors {errors(run.ema, drawings, 40)}", flush=True)
    run.save()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True, help="in all, over every start")
    parser.add_argument("--channels", type=int, default=LATENT_CHANNELS)
    parser.add_argument("--name", default="vae")
    arguments = parser.parse_args()
    train(arguments.build, arguments.minutes, arguments.channels, arguments.name)


if __name__ == "__main__":
    main()
