"""Which LoRA files fit a base, and what of them is left out."""

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from ksh_studio.errors import StudioError
from ksh_studio.lora.on_base.fitting import check_fits
from tests.tiny import tiny_clip_tokenizer, tiny_text_encoder, tiny_unet

IN_UNET = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_"
IN_TEXT = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"


@pytest.fixture(scope="module")
def base():
    text_encoder = tiny_text_encoder(tiny_clip_tokenizer())
    return SimpleNamespace(entry=SimpleNamespace(name="tiny"), unet=tiny_unet(), text_encoder=text_encoder)


def module(name, size):
    return {f"{name}.lora_down.weight": torch.ones(2, size), f"{name}.lora_up.weight": torch.ones(size, 2)}


SOUND = module(f"{IN_UNET}q", 16) | module(f"{IN_UNET}k", 16) | module(IN_TEXT, 32)


def test_what_does_not_belong_to_it_is_named(base, tmp_path):
    foreign = {"bundle_emb.mystyle.string_to_param.*": torch.ones(2, 32)} | module(f"{IN_UNET}w", 16)
    save_file(SOUND | foreign, tmp_path / "a.safetensors")
    fit = check_fits(tmp_path / "a.safetensors", base)
    assert fit.modules == {f"{IN_UNET}q", f"{IN_UNET}k", IN_TEXT}
    assert fit.left_out == ("bundle_emb.mystyle.string_to_param.*", f"{IN_UNET}w")
    (warning,) = fit.warnings()
    assert "bundle_emb.mystyle" in warning.text("en") and "2 parts" in warning.text("en")


def test_where_nothing_is_left_out_nothing_is_said(base, tmp_path):
    save_file(SOUND, tmp_path / "a.safetensors")
    assert check_fits(tmp_path / "a.safetensors", base).warnings() == []


@pytest.mark.parametrize(
    ("tensors", "metadata", "sentence"),
    [
        (module(f"{IN_UNET}q", 48), None, "does not say for which"),
        (module(f"{IN_UNET}q", 48), {"ss_sd_model_name": "anything"}, "according to the file anything"),
        # another model's UNet beside the same text encoder: Flux and SD 3 have CLIP's too
        (module(IN_TEXT, 32) | module("lora_unet_double_blocks_0_img_attn_qkv", 16), None, "does not say for which"),
        (module("transformer.blocks.0.attn", 16) | module(IN_TEXT, 32), None, "does not say for which"),
        (SOUND | module("lora_te2_text_model_encoder_layers_0_mlp_fc1", 32), None, "made for SDXL"),
    ],
)
def test_a_file_for_another_model_is_refused(tensors, metadata, sentence, base, tmp_path):
    save_file(tensors, tmp_path / "a.safetensors", metadata)
    with pytest.raises(StudioError, match=sentence) as caught:
        check_fits(tmp_path / "a.safetensors", base)
    assert "?" not in caught.value.sentence.text("en")
