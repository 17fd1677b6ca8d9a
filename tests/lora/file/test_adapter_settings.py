"""The alphas in peft's settings, in the metadata and in the file beside."""

import json

import pytest

from ksh_studio.lora.file.adapter_settings import METADATA_KEY, saved_alphas, saved_settings

PATH = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
MODULE = f"lora_unet_{PATH.replace('.', '_')}"
KEY = f"unet.{PATH}.lora_A.weight"


def alpha(settings, key=KEY, rank=4):
    return saved_alphas(settings, {MODULE: rank}, [key]).get(MODULE)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"unet.lora_alpha": 2, "unet.r": 4}, 2.0),
        ({"lora_alpha": 2.5}, 2.5),
        ({"unet.lora_alpha": 2, "unet.alpha_pattern": {"attn1.to_q": 8}}, 8.0),
        ({"unet.lora_alpha": 2, "unet.alpha_pattern": {"^" + PATH.replace(".", "\\.") + "$": 8}}, 8.0),
        ({"unet.lora_alpha": 2, "unet.alpha_pattern": {"q": 8}}, 2.0),
        ({"unet.lora_alpha": 2, "unet.use_rslora": True}, 4.0),  # 2 / sqrt(4) is 4 / 4
        ({"text_encoder.lora_alpha": 2}, None),
        ({"unet.lora_alpha": "2"}, None),
        ({"unet.lora_alpha": float("nan")}, None),
        ({}, None),
    ],
)
def test_the_alpha_of_a_module(settings, expected):
    assert alpha(settings) == expected


def test_an_expression_of_a_strangers_file_is_not_run():
    assert alpha({"unet.lora_alpha": 2, "unet.alpha_pattern": {"(a|aa)+" * 20: 8}}) == 2.0


def test_settings_are_in_the_metadata_or_beside_pefts_own_file(tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_alpha": 8}))
    assert saved_settings(tmp_path / "adapter_model.safetensors", {}) == {"lora_alpha": 8}
    assert saved_settings(tmp_path / "other.safetensors", {}) == {}
    assert saved_settings(tmp_path / "other.safetensors", {METADATA_KEY: '{"lora_alpha": 2}'}) == {"lora_alpha": 2}


@pytest.mark.parametrize("text", ["no JSON", "[" * 100_000, "[1]", "\0"])
def test_settings_that_cannot_be_read_are_none(text, tmp_path):
    assert saved_settings(tmp_path / "a.safetensors", {METADATA_KEY: text}) == {}
