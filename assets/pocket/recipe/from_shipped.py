"""Put the shipped weights into a build folder: training goes on from them, each model with a fresh optimiser."""

import argparse
import os
import shutil
from pathlib import Path

import torch
from base_model import Denoiser
from diffusers import AutoencoderKL, UNet2DConditionModel
from drawings import HERE
from run_state import SHIPPED, began_from_shipped, begin_from, one_beginning
from torch import nn
from train_captioner import Learner
from transformers import Blip2ForConditionalGeneration, CLIPTextModel


def shipped(pocket: Path) -> dict[str, nn.Module]:
    """Return the shipped models in float32, by the name of their checkpoint."""
    denoiser = Denoiser()
    denoiser.unet = UNet2DConditionModel.from_pretrained(pocket / "base" / "unet", torch_dtype=torch.float32)
    encoder = CLIPTextModel.from_pretrained(pocket / "base" / "text_encoder", torch_dtype=torch.float32)
    denoiser.text_encoder = encoder
    torch.manual_seed(0)
    learner = Learner(Blip2ForConditionalGeneration.from_pretrained(pocket / "captioner", torch_dtype=torch.float32))
    vae = AutoencoderKL.from_pretrained(pocket / "base" / "vae", torch_dtype=torch.float32)
    return {"vae": vae, "captioner": learner, "base": denoiser}


def begin(build: Path, pocket: Path) -> None:
    """Write the checkpoints that are not there yet; stop where trainings began from nothing."""
    one_beginning(build, from_shipped=True)
    if not began_from_shipped(build):
        part = build / f"{SHIPPED}.part"
        shutil.copyfile(pocket / "captioner" / "tokenizer.json", part)
        os.replace(part, build / SHIPPED)
    for name, model in shipped(pocket).items():
        path = build / f"{name}.pt"
        if not path.exists():
            begin_from(model, path)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--pocket", type=Path, default=HERE.parent)
    arguments = parser.parse_args()
    begin(arguments.build, arguments.pocket)


if __name__ == "__main__":
    main()
