"""Stable Diffusion 1.5 at its real size with random weights: what a step costs does not depend on their values."""

import json
from pathlib import Path

import torch

from ksh_studio.models import single_file
from ksh_studio.models.device import choose_attention_backend
from ksh_studio.models.loading import Base
from ksh_studio.models.registry import POCKET, BaseEntry

ENTRY = BaseEntry(
    name="random-sd15", label="Stable Diffusion 1.5 of random weights", source="", source_type="file", min_size=256,
    training={"train_batch_size": 1},
)  # fmt: skip


def random_sd15(device: torch.device, dtype: torch.dtype) -> Base:
    """The base: 860 M parameters of UNet, and the real autoencoder and text encoder; the same at every call.

    The UNet is made in `dtype` at once, so that no second copy of it is ever held.
    """
    choose_attention_backend(device)  # before diffusers' model modules are imported
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    config = json.loads((single_file.CONFIGS / "unet" / "config.json").read_text(encoding="utf-8"))
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(config).to(dtype)
    unet.to_empty(device=device)
    for name, parameter in unet.named_parameters():
        torch.nn.init.normal_(parameter, std=0.02)
        if "norm" in name and name.endswith("weight"):
            torch.nn.init.ones_(parameter)
    vae_dtype = torch.float32 if dtype == torch.float16 else dtype
    vae = AutoencoderKL.from_config(AutoencoderKL.load_config(single_file.CONFIGS / "vae")).to(device, vae_dtype)
    encoder = CLIPTextModel(CLIPTextConfig.from_pretrained(single_file.CONFIGS / "text_encoder")).to(device, dtype)
    parts = {"unet": unet, "vae": vae, "text_encoder": encoder}
    for part in parts.values():
        part.requires_grad_(False).eval()
    if device.type == "cuda":
        unet.to(memory_format=torch.channels_last)
        vae.to(memory_format=torch.channels_last)
    return Base(
        entry=ENTRY, tokenizer=CLIPTokenizer.from_pretrained(POCKET / "base" / "tokenizer"), device=device, dtype=dtype,
        prediction_type="epsilon", weights=Path(__file__), **parts,
    )  # fmt: skip
