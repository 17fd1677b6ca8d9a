"""The shipped folders load unchanged, are whole, small, and know what they claim."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

ASSETS = Path(__file__).resolve().parents[2] / "assets"
POCKET = ASSETS / "pocket"
MEGA = 1_000_000
SHIPPED = [path for part in ("pocket", "demo") for path in (ASSETS / part).rglob("*") if path.is_file()]


def manifest() -> dict:
    return json.loads((POCKET / "manifest.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pipeline():
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    loaded = StableDiffusionPipeline.from_pretrained(POCKET / "base")
    loaded.scheduler = DPMSolverMultistepScheduler.from_config(loaded.scheduler.config)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def test_every_shipped_file_is_in_the_manifest_with_its_hash():
    listed = {POCKET / name: entry for name, entry in manifest()["files"].items()}
    listed |= {ASSETS / "demo" / name: entry for name, entry in manifest()["demo"].items()}
    on_disk = {path for part in ("pocket/base", "pocket/captioner", "demo") for path in (ASSETS / part).rglob("*")}
    assert {path for path in on_disk if path.is_file()} == set(listed)
    for path, entry in listed.items():
        content = path.read_bytes()
        assert len(content) == entry["bytes"], path
        assert hashlib.sha256(content).hexdigest() == entry["sha256"], path


def test_the_assets_stay_small():
    sizes = [path.stat().st_size for path in SHIPPED]
    assert sum(sizes) <= 80 * MEGA
    assert max(sizes) <= 45 * MEGA


def test_only_safetensors_hold_weights():
    assert not [path for path in SHIPPED if path.suffix in {".bin", ".pt", ".ckpt", ".pth", ".pkl"}]


@pytest.mark.models
def test_the_tokenizer_is_clips(pipeline):
    tokenizer = pipeline.tokenizer
    assert len(tokenizer) == 49_408
    assert len(tokenizer("drawn by KSH drawing style", add_special_tokens=False).input_ids) == 5
    ids = tokenizer("a photo of a cat").input_ids
    assert ids == [49406, 320, 1125, 539, 320, 2368, 49407]


@pytest.mark.models
def test_the_mean_of_the_text_state_is_far_from_zero(pipeline):
    tokens = pipeline.tokenizer(
        ["", "red hair", "an anime girl, blue hair"], padding="max_length", max_length=77, return_tensors="pt"
    )
    with torch.no_grad():
        means = pipeline.text_encoder(tokens.input_ids).last_hidden_state.mean((1, 2)).abs()
    assert float(means.min()) >= 0.05


@pytest.mark.models
def test_lora_finds_the_names_of_stable_diffusion(pipeline):
    names = {name for name, _ in pipeline.unet.named_modules()}
    block = "down_blocks.1.attentions.0."
    inner = ["attn1.to_q", "attn2.to_k", "attn2.to_out.0", "ff.net.0.proj", "ff.net.2"]
    assert {block + "proj_in", block + "proj_out", *(f"{block}transformer_blocks.0.{name}" for name in inner)} <= names


@pytest.mark.models
def test_the_registry_fits_the_base(pipeline):
    base = json.loads((POCKET / "registry.json").read_text(encoding="utf-8"))["base"]
    assert base["native_size"] == pipeline.unet.config.sample_size * 8
    assert base["bucket_step"] == 8 * 2 ** (len(pipeline.unet.config.block_out_channels) - 1)
    assert [len(row) for row in base["latent_rgb"]] == [3] * (pipeline.vae.config.latent_channels + 1)


@pytest.mark.models
def test_the_captioner_writes_for_a_batch_of_drawings():
    from PIL import Image
    from transformers import Blip2ForConditionalGeneration, Blip2Processor

    model = Blip2ForConditionalGeneration.from_pretrained(POCKET / "captioner").eval()
    processor = Blip2Processor.from_pretrained(POCKET / "captioner")
    assert model.dtype == torch.float32
    folder = ASSETS / "demo" / "drawings"
    pictures = [Image.open(folder / name).convert("RGB") for name in ("lorelei-01.png", "lorelei-03.png")]
    tokens = model.generate(**processor(images=pictures, return_tensors="pt"))
    captions = processor.batch_decode(tokens, skip_special_tokens=True)
    assert captions[0] != captions[1]
    for caption in captions:
        assert caption.startswith("a person")
        assert caption.endswith("background")
        assert "style" not in caption
