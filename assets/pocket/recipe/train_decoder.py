"""Train the autoencoder's decoder on, against a critic that asks for clean lines and flat colours.

The encoder stays: latents made earlier, and a base trained on them, remain valid. A patch discriminator whose loss is
weighed by the gradients at the decoder's last layer, after Esser et al. 2021 (arXiv:2012.09841, section 3.1); their
perceptual network is left out: that would be another trained model.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from drawings import SIZE, Drawings, style_names
from latents import averaged_vae
from run_state import Run
from torch import Tensor, nn
from torch.nn import functional
from train_vae import batch, edges, errors, new_vae

CROP = 64
RATE = 4e-4
CRITIC_RATE = 4e-4
# Steps in which the critic learns and the decoder does not listen yet.
CRITIC_UNHEARD = 300
CRITIC_WEIGHT = 0.4
LARGEST_RATIO = 100.0
# The base draws latents that are a little off, each picture by another amount.
LATENT_NOISE = (0.0, 0.15)


class Critic(nn.Module):
    """Four convolutions, two of them strided: whether each patch of 30 pixels was drawn or decoded."""

    def __init__(self) -> None:
        """Make it untrained."""
        super().__init__()
        layers: list[nn.Module] = []
        widths = [3, 32, 64, 96]
        for before, after in zip(widths, widths[1:], strict=False):
            convolution = nn.Conv2d(before, after, 4, stride=2 if after != widths[-1] else 1, padding=1)
            layers += [nn.utils.parametrizations.spectral_norm(convolution), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return one logit for each patch [B, 1, h, w], high for drawn ones, of pictures [B, 3, H, W] in -1..1."""
        return self.layers(pictures)


def decoded_from(vae: AutoencoderKL, pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Return pictures [B, 3, H, W] decoded from their latents, each moved a little."""
    with torch.no_grad():
        mean = vae.encode(pictures).latent_dist.mean
        size = torch.from_numpy(rng.uniform(*LATENT_NOISE, (len(mean), 1, 1, 1))).to(mean.dtype)
        off = mean + size * mean.std() * torch.randn_like(mean)
    return vae.decode(off).sample.float()


def closeness(decoded: Tensor, pictures: Tensor, mask: Tensor) -> Tensor:
    """Return L1, heavier inside the figure, plus L1 of the edges: as the autoencoder was trained."""
    loss = ((decoded - pictures).abs() * (1 + mask)).mean()
    for made, real in zip(edges(decoded), edges(pictures), strict=True):
        loss = loss + 0.5 * (made - real).abs().mean()
    return loss


def critic_share(vae: AutoencoderKL, close: Tensor, fooled: Tensor) -> Tensor:
    """Return the weight that makes the critic's gradient CRITIC_WEIGHT times that of closeness (equation 7)."""
    last = vae.decoder.conv_out.weight
    of_close, of_fooled = (torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in (close, fooled))
    return (of_close / (of_fooled + 1e-4)).clamp(max=LARGEST_RATIO).detach() * CRITIC_WEIGHT


def critic_loss(critic: Critic, decoded: Tensor, pictures: Tensor) -> Tensor:
    """Return the hinge loss of telling drawn from decoded patches."""
    made, real = critic(torch.cat([decoded.detach(), pictures])).float().chunk(2)
    return 0.5 * (functional.relu(1 - real).mean() + functional.relu(1 + made).mean())


def train(build: Path, minutes: float) -> None:
    """Train until the budget is spent; the whole averaged autoencoder lies in `<build>/decoder.pt`."""
    torch.manual_seed(0)
    drawings = Drawings.load(build, "train", style_names("train"))
    vae = new_vae()
    vae.load_state_dict(averaged_vae(build))
    if not (build / "decoder.pt").exists():
        (build / "critic.pt").unlink(missing_ok=True)
    vae.requires_grad_(False)
    for part in (vae.decoder, vae.post_quant_conv):
        part.requires_grad_(True)
    run = Run(vae.to(memory_format=torch.channels_last), build / "decoder.pt", minutes, lr=RATE)
    teller = Run(Critic(), build / "critic.pt", minutes, lr=CRITIC_RATE)
    rng = np.random.default_rng(run.step)
    torch.manual_seed(run.step)
    while run.progress < 1:
        pictures, mask = batch(drawings, rng, CROP if rng.random() < 0.7 else SIZE)
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            decoded = decoded_from(run.model, pictures, rng)
            close = closeness(decoded, pictures, mask)
            loss = close
            if teller.step >= CRITIC_UNHEARD:
                fooled = -teller.model(decoded).float().mean()
                loss = close + critic_share(run.model, close, fooled) * fooled
        run.update(loss)
        with torch.autocast("cpu", torch.bfloat16):
            telling = critic_loss(teller.model, decoded, pictures)
        teller.update(telling)
        if run.step % 100 == 0:
            print(
                f"decoder {run.step} {run.progress:.3f} close {close.item():.4f} critic {telling.item():.3f}",
                flush=True,
            )
        if run.step % 1000 == 0:
            print(f"decoder {run.step} errors {errors(run.ema, drawings, 100)}", flush=True)
    run.save()
    teller.save()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True, help="in all, over every start")
    arguments = parser.parse_args()
    train(arguments.build, arguments.minutes)


if __name__ == "__main__":
    main()
