"""The base's parts, untrained, and the folder they are saved in."""

import gzip
import json
from pathlib import Path

import torch
from diffusers import PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import nn
from train_vae import LATENT_CHANNELS, new_vae
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

WIDTH = 128
TOKENS = 77
# Weights of a prompt divide by the mean of the last hidden state: it must not be near zero.
LAST_BIAS = 0.5
MERGES = 49152 - 256 - 2


def byte_letters() -> list[str]:
    """Return CLIP's printable letter for each byte, in vocabulary order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + at) for at in range(len(hidden))]


def write_tokenizer(vocabulary: Path, folder: Path) -> CLIPTokenizer:
    """Write and return the real CLIP tokenizer, from open_clip's `bpe_simple_vocab_16e6.txt.gz` (MIT)."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = gzip.decompress(vocabulary.read_bytes()).decode("utf-8").split("\n")[1 : MERGES + 1]
    letters = byte_letters()
    words = letters + [letter + "</w>" for letter in letters] + ["".join(line.split()) for line in lines]
    words += ["<|startoftext|>", "<|endoftext|>"]
    numbered = {word: number for number, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(numbered, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(lines) + "\n", encoding="utf-8")
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    special["pad_token"] = "<|endoftext|>"
    settings = special | {"tokenizer_class": "CLIPTokenizer", "model_max_length": TOKENS, "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=1), encoding="utf-8")
    return CLIPTokenizer.from_pretrained(folder)


def new_unet() -> UNet2DConditionModel:
    """Return an untrained UNet for 16×16 latents, its blocks named as in Stable Diffusion 1.5."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(64, 128, 192),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def new_text_encoder() -> CLIPTextModel:
    """Return an untrained text encoder whose last hidden state is far from a zero mean."""
    config = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=TOKENS,
        projection_dim=WIDTH,
        bos_token_id=49406,
        eos_token_id=49407,
        pad_token_id=49407,
    )
    encoder = CLIPTextModel(config)
    nn.init.constant_(last_norm(encoder).bias, LAST_BIAS)
    return encoder


def last_norm(encoder: CLIPTextModel) -> nn.LayerNorm:
    """Return the norm of the last hidden state, wherever this version of transformers keeps it."""
    return next(part for name, part in encoder.named_modules() if name.endswith("final_layer_norm"))


def new_scheduler() -> PNDMScheduler:
    """Return Stable Diffusion 1.5's schedule."""
    return PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        num_train_timesteps=1000,
        prediction_type="epsilon",
        skip_prk_steps=True,
        steps_offset=1,
        set_alpha_to_one=False,
    )


class Denoiser(nn.Module):
    """The two parts that train together."""

    def __init__(self) -> None:
        """Make both untrained."""
        super().__init__()
        self.unet, self.text_encoder = new_unet(), new_text_encoder()


def save_base(denoiser: Denoiser, vae: nn.Module, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write a Stable Diffusion folder, its weights in 16 bit."""
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=denoiser.text_encoder,
        tokenizer=tokenizer,
        unet=denoiser.unet,
        scheduler=new_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(dtype=torch.float16).save_pretrained(folder, safe_serialization=True)
    load_in_full_precision(folder / "text_encoder" / "config.json")


def load_in_full_precision(config: Path) -> None:
    """Make transformers load this folder's 16-bit file as float32: a CPU has no fast half precision."""
    settings = json.loads(config.read_text(encoding="utf-8"))
    settings["dtype"] = "float32"
    config.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def untrained_base(vocabulary: Path, folder: Path) -> None:
    """Write a folder of the right shape, so that code can load it before the training is through."""
    tokenizer = write_tokenizer(vocabulary, folder / "tokenizer")
    save_base(Denoiser(), new_vae(), tokenizer, folder)
