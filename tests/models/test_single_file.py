"""A whole model in one .safetensors file loads without a network, whichever layout its text encoder has."""

import json
import shutil

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from ksh_studio.errors import StudioError
from ksh_studio.models import single_file
from ksh_studio.models.loading import load_base
from ksh_studio.models.registry import base_entry
from tests.models.one_file import original_tensors

CPU = torch.device("cpu")
SMALLER = {
    "unet": {"block_out_channels": [32, 32, 64, 64]},
    "vae": {"block_out_channels": [32, 32, 32, 32]},
    "text_encoder": {
        "vocab_size": 600,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    },
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """SD 1.5's configurations with small widths, random models of them, and their tensors under original names."""
    configs = tmp_path_factory.mktemp("configs") / "sd15"
    shutil.copytree(single_file.CONFIGS, configs)
    for part, changes in SMALLER.items():
        path = configs / part / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(configs / "unet"))
    vae = AutoencoderKL.from_config(AutoencoderKL.load_config(configs / "vae"))
    text_encoder = CLIPTextModel(CLIPTextConfig.from_pretrained(configs / "text_encoder"))
    return configs, (unet, vae, text_encoder), original_tensors(unet, vae, text_encoder)


@pytest.mark.parametrize("layout", ["with text_model", "without text_model", "with position_ids"])
def test_every_tensor_of_the_file_arrives_in_its_place(small, tmp_path, monkeypatch, layout):
    configs, models, tensors = small
    monkeypatch.setattr(single_file, "CONFIGS", configs)
    tensors = dict(tensors)
    if layout == "without text_model":
        tensors = {name.replace("transformer.text_model.", "transformer."): t for name, t in tensors.items()}
    elif layout == "with position_ids":
        tensors["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(77)[None]
    path = tmp_path / "anime.safetensors"
    save_file(tensors, path)
    base = load_base(base_entry(str(path)), CPU, torch.float32)
    for loaded, original in zip((base.unet, base.vae, base.text_encoder), models, strict=True):
        expected = original.state_dict()
        assert loaded.state_dict().keys() == expected.keys()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())
    assert base.prediction_type == "epsilon"
    assert (
        base.tokenizer("drawn by KSH drawing style").input_ids[1:-1]
        == base.tokenizer("Drawn  by KSH drawing style", add_special_tokens=False).input_ids
    )
    assert base.entry.native_size == 512


def test_a_file_that_says_it_predicts_v_does(small, tmp_path, monkeypatch):
    configs, _, tensors = small
    monkeypatch.setattr(single_file, "CONFIGS", configs)
    path = tmp_path / "v.safetensors"
    save_file(tensors, path, {"modelspec.prediction_type": "v"})
    assert load_base(base_entry(str(path)), CPU, torch.float32).prediction_type == "v_prediction"


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("lora", "models.is_a_lora"),
        ("sd2", "models.not_sd1_file"),
        ("no text encoder", "models.no_text_encoder"),
        ("no vae", "models.no_vae"),
        ("one side", "models.not_sd1_file"),
        ("another width", "models.unreadable"),
    ],
)
def test_a_file_of_another_kind_is_one_sentence(small, tmp_path, monkeypatch, kind, sentence):
    configs, _, tensors = small
    monkeypatch.setattr(single_file, "CONFIGS", configs)
    tensors = dict(tensors)
    if kind == "lora":
        tensors = {"lora_unet_x.lora_down.weight": torch.zeros(2, 2)}
    elif kind == "sd2":
        tensors[single_file.KEYS_AND_VALUES] = torch.zeros(32, 1024)
    elif kind == "no text encoder":
        tensors = {name: t for name, t in tensors.items() if not name.startswith("cond_stage_model")}
    elif kind == "no vae":
        tensors = {name: t for name, t in tensors.items() if not name.startswith("first_stage_model")}
    elif kind == "one side":
        tensors[single_file.LATENTS_IN] = torch.zeros(4)
    else:
        tensors["model.diffusion_model.out.2.weight"] = torch.zeros(4, 99, 3, 3)
    path = tmp_path / "other.safetensors"
    save_file(tensors, path)
    with pytest.raises(StudioError) as error:
        load_base(base_entry(str(path)), CPU)
    assert error.value.sentence.key == sentence


def test_the_bundled_configurations_are_sd15s():
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(single_file.CONFIGS / "unet"))
        vae = AutoencoderKL.from_config(AutoencoderKL.load_config(single_file.CONFIGS / "vae"))
        text_encoder = CLIPTextModel(CLIPTextConfig.from_pretrained(single_file.CONFIGS / "text_encoder"))
    counts = [sum(p.numel() for p in model.parameters()) for model in (unet, vae, text_encoder)]
    assert counts == [859_520_964, 83_653_863, 123_060_480]
