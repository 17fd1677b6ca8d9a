"""Train the UNet and the text encoder together on cached latents."""

import argparse
import os
from pathlib import Path

import numpy as np
import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing
from base_model import TOKENS, Denoiser, new_scheduler, write_tokenizer
from captions import base_caption
from drawings import Drawings, style_names
from latents import ROUNDS, SHARDS, check_latents, shard_path
from run_state import Run, began_from_shipped
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTokenizer

BATCH = 32
RATE = 1e-3
REFINING_RATE = 1.5e-4
LOG_EVERY = 20
MEET_EVERY = 4
SNR_GAMMA = 5.0
# Colours are decided where there is almost only noise, and min-SNR leaves next to nothing of the loss there.
SNR_FLOOR = 0.3


class Cached:
    """Latents in memory with what is needed to caption them anew each time; shards still being made join later."""

    def __init__(self, build: Path) -> None:
        """Read the shards that are there."""
        self.build = build
        self.attributes = Drawings.load(build, "train", style_names("train")).attributes
        self.latents, self.rows, self.backgrounds = torch.empty(0), [], []
        self.shards = 0
        self.refresh()

    def refresh(self) -> None:
        """Read the shards that have appeared."""
        while self.shards < SHARDS * ROUNDS and shard_path(self.build, self.shards).exists():
            saved = torch.load(shard_path(self.build, self.shards), weights_only=True)
            self.latents = torch.cat([self.latents, saved["latents"].float()])
            self.rows += saved["rows"]
            self.backgrounds += saved["background"]
            self.shards += 1

    def batch(self, rng: np.random.Generator, count: int) -> tuple[Tensor, list[tuple[str, dict[str, float]]]]:
        """Return scaled latents [B, C, h, w] and captions, each with the weights of its phrases."""
        at = rng.integers(0, len(self.latents), count)
        captions = [base_caption(self.attributes[self.rows[i]], self.backgrounds[i], rng) for i in at]
        return self.latents[at], captions


def tokens_of(tokenizer: CLIPTokenizer, captions: list[tuple[str, dict[str, float]]]) -> tuple[Tensor, Tensor]:
    """Return token ids [B, 77] and the weight of each token [B, 77, 1].

    Padded to the full length: the model sees the padding of every later prompt.
    """
    texts = [text for text, _ in captions]
    input_ids = tokenizer(texts, padding="max_length", max_length=TOKENS, truncation=True).input_ids
    weights = torch.ones(len(captions), TOKENS, 1)
    for row, (_, phrases) in enumerate(captions):
        for phrase, weight in phrases.items():
            wanted = tokenizer(phrase, add_special_tokens=False).input_ids
            places = range(TOKENS - len(wanted))
            at = next(at for at in places if input_ids[row][at : at + len(wanted)] == wanted)
            weights[row, at : at + len(wanted)] = weight
    return torch.tensor(input_ids), weights


def loss_of(denoiser: Denoiser, latents: Tensor, input_ids: Tensor, weights: Tensor, levels: Tensor) -> Tensor:
    """Return the squared error of the noise.

    Weighted as min-SNR (Hang et al. 2023, arXiv:2303.09556, section 3.4), with a floor for the noisiest timesteps;
    weights [B, 77, 1] are those of the prompt's words, applied as A1111's "Original" does.
    """
    timesteps = torch.randint(0, len(levels), (len(latents),))
    level = levels[timesteps][:, None, None, None]
    noise = torch.randn_like(latents)
    noisy = level.sqrt() * latents + (1 - level).sqrt() * noise
    plain = denoiser.text_encoder(input_ids).last_hidden_state.float()
    weighed = plain * weights
    states = weighed * (plain.mean((1, 2), keepdim=True) / weighed.mean((1, 2), keepdim=True))
    made = denoiser.unet(noisy, timesteps, states).sample.float()
    snr = levels[timesteps] / (1 - levels[timesteps])
    weight = (snr.clamp(max=SNR_GAMMA) + SNR_FLOOR) / snr
    return (functional.mse_loss(made, noise, reduction="none").mean((1, 2, 3)) * weight).mean()


def meet(run: Run) -> None:
    """Give every worker the mean of all workers' weights."""
    flat = torch.cat([weights.detach().reshape(-1) for weights in run.model.parameters()])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    with torch.no_grad():
        at = 0
        for weights in run.model.parameters():
            weights.copy_(flat[at : at + weights.numel()].view_as(weights))
            at += weights.numel()


def train(rank: int, workers: int, build: Path, minutes: float) -> None:
    """Train one worker until the budget is spent; the first one keeps the checkpoint.

    From shipped weights the UNet alone is trained on, at a gentler rate.
    """
    # Linux shares a busy machine out by sessions: two workers in one session would have half each.
    os.setsid()
    torch.set_num_threads(1)
    address = f"file://{build.resolve() / 'meeting'}"
    distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=workers)
    torch.manual_seed(0)
    cached = Cached(build)
    tokenizer = CLIPTokenizer.from_pretrained(build / "tokenizer")
    refining = began_from_shipped(build)
    rate = REFINING_RATE if refining else RATE
    run = Run(Denoiser().to(memory_format=torch.channels_last), build / "base.pt", minutes, lr=rate)
    run.model.text_encoder.requires_grad_(not refining)
    run.saves = rank == 0
    rng = np.random.default_rng([run.step, rank])
    torch.manual_seed(1000 * run.step + rank)
    levels = new_scheduler().alphas_cumprod
    parent = multiprocessing.parent_process()
    total = 0.0
    left = torch.tensor([1 - run.progress])
    while left.item() > 0:
        latents, captions = cached.batch(rng, BATCH)
        input_ids, weights = tokens_of(tokenizer, captions)
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(run.model, latents, input_ids, weights, levels)
        run.update(loss)
        total += loss.item()
        if run.step % MEET_EVERY == 0:
            meet(run)
            # A worker whose parent was killed must not go on beside the next run and write over its checkpoint.
            left.fill_((1 - run.progress) * parent.is_alive())
            distributed.broadcast(left, 0)
        if run.step % LOG_EVERY == 0:
            spent = f"{run.progress:.3f} {run.spent_s:.0f} s"
            print(f"base {rank} {run.step} {spent} loss {total / LOG_EVERY:.4f} {cached.shards} shards", flush=True)
            total = 0.0
            cached.refresh()
    if run.saves and parent.is_alive():
        run.save()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True, help="in all, over every start")
    parser.add_argument("--workers", type=int, default=2, help="each on one thread: two threads wait for each other")
    arguments = parser.parse_args()
    check_latents(arguments.build)
    write_tokenizer(arguments.vocabulary, arguments.build / "tokenizer")
    (arguments.build / "meeting").unlink(missing_ok=True)
    settings = (arguments.workers, arguments.build, arguments.minutes)
    multiprocessing.start_processes(train, settings, nprocs=arguments.workers, start_method="spawn")


if __name__ == "__main__":
    main()
