"""The model card says how to use a LoRA, in the front matter for the Hub and in lines for people."""

from pathlib import Path

import pytest
import yaml

from ksh_studio.lora.file.header import LoraHeader
from ksh_studio.lora.model_card import model_card

METADATA = {"modelspec.title": "KSH", "modelspec.trigger_phrase": "drawn by: KSH", "ss_steps": "500"}
LORA = {"lora_unet_x.lora_down.weight": (4, 16), "lora_unet_x.lora_up.weight": (16, 4)}
LOHA = {f"lora_unet_x.hada_w{n}_{side}": (8, 2) if side == "a" else (2, 8) for n in (1, 2) for side in "ab"}


def card(shapes, metadata, base="anna/base", licence="", prompts=()):
    header = LoraHeader(Path("ksh.safetensors"), metadata, shapes)
    return model_card(header, "anna/style", licence, base, list(prompts))


def front_matter(text):
    return yaml.safe_load(text.split("---")[1])


def test_a_lora_on_a_base_of_the_hub_has_an_example_for_diffusers():
    text = card(LORA, METADATA, licence="cc-by-4.0", prompts=["a cat", ""])
    matter = front_matter(text)
    assert (matter["license"], matter["base_model"], matter["library_name"]) == ("cc-by-4.0", "anna/base", "diffusers")
    assert matter["instance_prompt"] == "drawn by: KSH"
    assert [picture["text"] for picture in matter["widget"]] == ["a cat", "-"]
    assert 'from_pretrained("anna/base")' in text
    assert 'load_lora_weights("anna/style", weight_name="ksh.safetensors")' in text
    assert "# KSH" in text and "rank 4, 500 steps" in text


def test_what_is_not_known_is_left_out():
    text = card(LORA, {}, base="")
    assert front_matter(text).keys() == {"library_name", "pipeline_tag", "tags"}
    assert "# ksh" in text and "Put this into the prompt" not in text and "from_pretrained" not in text


@pytest.mark.parametrize("base", ["", "anna/base"])
def test_a_type_that_diffusers_does_not_load_is_not_called_a_diffusers_model(base):
    text = card(LOHA, METADATA, base)
    assert "library_name" not in front_matter(text) and "load_lora_weights" not in text
    assert "loha" in front_matter(text)["tags"] and "diffusers does not load it" in text
