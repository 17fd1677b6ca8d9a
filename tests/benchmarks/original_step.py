"""What one step of diffusers' `train_text_to_image_lora.py` does: rebuilt here, or measured in a checkout of it.

Rebuilt from the library's public parts: the picture decoded from its file, resized, cropped and mirrored, the caption
tokenised, both encoded by VAE and text encoder, DDPM noise, UNet, SNR looked up by the library's own function, loss,
backward, AdamW as it comes, learning rate schedule, and two values read back. Left out in the script's favour: the data
loader's and Accelerate's own work. The script's clipping clips nothing (its list is empty after the first use), so none
is made here. torchvision is not needed: its transforms are written with PIL and numpy.
"""

import argparse
import json
import random
import runpy
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ksh_studio.config import TrainConfig
from ksh_studio.drawings.exporting import export
from ksh_studio.models.loading import Base
from ksh_studio.project.workspace import Project
from ksh_studio.training.data.items import Item

SCRIPT = "examples/text_to_image/train_text_to_image_lora.py"


class OriginalStep:
    """Makes the script's step on a base whose LoRA is on it already; VAE and text encoder are on the device."""

    def __init__(
        self, base: Base, items: list[Item], config: TrainConfig, parameters: list[torch.nn.Parameter]
    ) -> None:
        """The learning rate is 0: other steps are timed on the same weights."""
        from diffusers import DDPMScheduler  # when the base is loaded, which decides about xformers first
        from diffusers.optimization import get_scheduler
        from diffusers.training_utils import compute_snr

        self.base, self.items, self.config, self.compute_snr = base, items, config, compute_snr
        self.scheduler = DDPMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=base.prediction_type
        )
        self.optimizer = torch.optim.AdamW(parameters, lr=0.0, weight_decay=1e-2)
        self.lr_scheduler = get_scheduler("constant", optimizer=self.optimizer)
        self.random = random.Random(0)

    def __call__(self) -> float:
        """One step; returns the loss."""
        base, config = self.base, self.config
        chosen = [self.random.choice(self.items) for _ in range(config.train_batch_size)]
        pictures = torch.stack([self._picture(item.path) for item in chosen]).to(base.device, base.vae.dtype)
        tokens = base.tokenizer(
            [item.caption for item in chosen], max_length=77, padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids.to(base.device)
        with torch.no_grad():
            latents = base.vae.encode(pictures).latent_dist.sample() * base.vae.config.scaling_factor
            words = base.text_encoder(tokens)[0]
        latents = latents.to(base.dtype)
        noise = torch.randn_like(latents)
        timesteps = torch.randint(0, 1000, (len(chosen),), device=base.device).long()
        noised = self.scheduler.add_noise(latents, noise, timesteps)
        with torch.autocast(base.device.type, base.dtype, enabled=base.dtype != torch.float32):
            predicted = base.unet(noised, timesteps, words, return_dict=False)[0]
        loss = self._loss(predicted, noise if base.prediction_type == "epsilon" else None, (latents, noise, timesteps))
        average = loss.detach().repeat(len(chosen)).mean().item()  # the first value that is read back
        loss.backward()
        self.optimizer.step()
        self.lr_scheduler.step()
        self.optimizer.zero_grad()
        return average + 0 * loss.detach().item()  # the second, for its log

    def _loss(
        self, predicted: torch.Tensor, target: torch.Tensor | None, made_of: tuple[torch.Tensor, ...]
    ) -> torch.Tensor:
        latents, noise, timesteps = made_of
        target = self.scheduler.get_velocity(latents, noise, timesteps) if target is None else target
        if self.config.snr_gamma is None:
            return torch.nn.functional.mse_loss(predicted.float(), target.float())
        snr = self.compute_snr(self.scheduler, timesteps)
        weights = torch.stack([snr, self.config.snr_gamma * torch.ones_like(timesteps)], dim=1).min(dim=1)[0]
        weights = weights / (snr if self.scheduler.config.prediction_type == "epsilon" else snr + 1)
        each = torch.nn.functional.mse_loss(predicted.float(), target.float(), reduction="none")
        return (each.mean(dim=list(range(1, len(each.shape)))) * weights).mean()

    def _picture(self, path: Path) -> torch.Tensor:
        """Decode, shorter side to size, a crop at random, mirrored at random, [3, H, W] in -1..1."""
        size = self.config.resolution
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        scale = size / min(picture.size)
        picture = picture.resize([max(size, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS)
        left, top = (self.random.randint(0, side - size) for side in picture.size)
        picture = picture.crop((left, top, left + size, top + size))
        if self.config.random_flip and self.random.random() < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        values = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float().div(255)
        return (values - 0.5) / 0.5


def checkout_seconds(
    checkout: Path, base_folder: Path, project: Project, config: TrainConfig, steps: int
) -> list[float]:
    """Seconds of each step of the script itself, in fp32 and in a process of its own; it needs torchvision.

    What it cannot be told otherwise: it trains the attention only. Raises CalledProcessError when the script fails.
    """
    folder = project.workspace.root / "original"
    if not (folder / "data").exists():
        list(export(project, folder / "data", "imagefolder"))
    options = {
        "pretrained_model_name_or_path": base_folder, "train_data_dir": folder / "data", "caption_column": "text",
        "resolution": config.resolution, "train_batch_size": config.train_batch_size, "max_train_steps": steps + 1,
        "learning_rate": 1e-6, "lr_scheduler": "constant", "rank": config.rank, "snr_gamma": config.snr_gamma,
        "checkpointing_steps": 1_000_000, "output_dir": folder / "out", "seed": 0, "mixed_precision": "no",
    }  # fmt: skip
    given = [f"--{name}={value}" for name, value in options.items() if value is not None]
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.original_step",
        str(checkout / SCRIPT),
        str(folder / "steps.json"),
    ]
    subprocess.run([*command, *given, *(["--random_flip"] if config.random_flip else [])], check=True)
    return json.loads((folder / "steps.json").read_text(encoding="utf-8"))


def main() -> None:
    """Run the script with the arguments after its path, and write the time between its backward passes."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("script", type=Path)
    parser.add_argument("result", type=Path)
    chosen, arguments = parser.parse_known_args()
    from accelerate import Accelerator

    times: list[float] = []
    backward = Accelerator.backward

    def timed(self: Accelerator, loss: torch.Tensor, **options: object) -> None:
        backward(self, loss, **options)
        times.append(time.perf_counter())

    Accelerator.backward = timed
    sys.argv = [str(chosen.script), *arguments]
    runpy.run_path(str(chosen.script), run_name="__main__")
    chosen.result.write_text(json.dumps([b - a for a, b in zip(times, times[1:], strict=False)]), encoding="utf-8")


if __name__ == "__main__":
    main()
