"""Seconds a step: the bare UNet against the studio's loop, interleaved, medians.

    python -m tests.benchmarks.train_step [--base pocket] [--steps 200] [--precision auto] [--threads N]

a: UNet forward, backward and optimiser step on ready tensors, same targets, rank and precision.
b: the studio's step: sampling, noising, caption dropout, min-SNR loss, clipping, finite check, skip on the device,
   average of the weights, learning rate.
v, t: one VAE pass and one text-encoder pass of the same batch, which the studio's step does not make.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch

from ksh_studio.config import TrainConfig
from ksh_studio.generation.encoding import encode_captions
from ksh_studio.models.device import pick_device
from ksh_studio.models.loading import load_base
from ksh_studio.models.registry import base_entry
from ksh_studio.training.adapter import add_adapter
from ksh_studio.training.buckets import fit
from ksh_studio.training.dataset import Item
from ksh_studio.training.plan import resolve
from ksh_studio.training.prepare import Prepared
from ksh_studio.training.session import Session
from ksh_studio.training.step import Stepper

DRAWINGS = 40


def random_data(base, config) -> Prepared:
    """Latents and embeddings of the right shapes, without drawings."""
    factor = 2 ** (len(base.vae.config.block_out_channels) - 1)
    side = config.resolution // factor
    crop = fit(config.resolution, config.resolution, config.resolution, factor, "square")
    items = [Item(str(n), Path(), "a girl", crop, str(n)) for n in range(DRAWINGS)]
    latents = torch.randn(DRAWINGS, 1, base.unet.config.in_channels, side, side, device=base.device)
    embeddings = encode_captions(base, [item.caption for item in items] + [""], config.clip_skip).detach()
    return Prepared(items, [latents], [(0, n) for n in range(DRAWINGS)], embeddings, None)


def bare_step(base, session, data, config):
    """A function that makes one plain step on tensors that are ready."""
    batch = config.train_batch_size
    latents, words = data.latents[0][:batch, 0].contiguous(), data.embeddings[:batch].contiguous()
    noise, timesteps = torch.randn_like(latents), torch.randint(1000, (batch,), device=base.device)
    optimizer = torch.optim.AdamW(session.parameters.values(), lr=0.0, fused=base.device.type != "mps")

    def step():
        with torch.autocast(base.device.type, base.dtype, enabled=base.dtype != torch.float32):
            predicted = base.unet(latents, timesteps, words).sample
        torch.nn.functional.mse_loss(predicted.float(), noise).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def seconds(function, device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="pocket")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--precision", default="auto", choices=("auto", "no", "bf16", "fp16"))
    parser.add_argument("--threads", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    device, entry = pick_device(), base_entry(chosen.base)
    config = resolve(TrainConfig(mixed_precision=chosen.precision, base_model=entry.name), entry, DRAWINGS)
    base = load_base(entry, device, config.mixed_precision)
    data = random_data(base, config)
    session = Session(add_adapter(base, config), config, base.dtype)
    studio = Stepper(base, data, session, list(range(DRAWINGS)))
    bare = bare_step(base, session, data, config)
    for function in (bare, studio):
        seconds(function, device)  # the first builds kernels
    pairs = [(seconds(bare, device), seconds(studio, device)) for _ in range(chosen.steps)]
    a, b = (statistics.median(times) for times in zip(*pairs, strict=True))
    pictures = torch.zeros(config.train_batch_size, 3, config.resolution, config.resolution, device=device)
    captions = ["a girl"] * config.train_batch_size
    with torch.no_grad():
        v = seconds(lambda: base.vae.encode(pictures.to(base.vae.dtype)), device)
        t = seconds(lambda: encode_captions(base, captions, config.clip_skip), device)
    count = sum(parameter.numel() for parameter in session.parameters.values())
    print(f"{entry.name}: {config.target_modules}, rank {config.rank}, {count / 1e6:.2f} M trained parameters, "
          f"batch {config.train_batch_size}, {config.resolution} px, {base.dtype}, {device}, "
          f"{torch.get_num_threads()} threads, {chosen.steps} steps")  # fmt: skip
    print(f"a {a:.4f} s   b {b:.4f} s   b/a {b / a:.3f}   v {v:.4f} s   t {t:.4f} s   (a+v+t)/b {(a + v + t) / b:.2f}")


if __name__ == "__main__":
    main()
