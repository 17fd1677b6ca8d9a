"""BLIP-2 in both kinds: old repositories without an image token, small ones and large ones on small GPUs."""

import json
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from ksh_studio.models import loading
from ksh_studio.models.loading import load_captioner
from ksh_studio.models.registry import captioner_entry
from tests.tiny import tiny_captioner_folder

CPU = torch.device("cpu")


def written(captioner):
    """What it generates for one grey picture, as ids."""
    inputs = captioner.processor(images=[Image.new("RGB", (40, 30), "grey")], text=["a"], return_tensors="pt")
    return captioner.model.generate(**inputs, max_new_tokens=5, min_new_tokens=5)


@pytest.mark.parametrize("language", ["opt", "t5"])
def test_a_repository_older_than_the_image_token_writes_the_same(tmp_path, language):
    folder = tiny_captioner_folder(tmp_path, language)
    wanted = written(load_captioner(captioner_entry(str(folder)), CPU))
    config = json.loads((folder / "config.json").read_text())
    assert config.pop("image_token_index") is not None
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "processor_config.json").unlink()
    pictures = {"image_processor_type": "BlipImageProcessor", "size": {"height": 32, "width": 32}}
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures))
    found = load_captioner(captioner_entry(str(folder)), CPU)
    assert found.model.config.image_token_index == found.processor.tokenizer.convert_tokens_to_ids("<image>")
    assert torch.equal(written(found), wanted)


@pytest.mark.parametrize(
    ("memory", "has_bitsandbytes", "expected"),
    [
        (8e9, True, {"quantization_config", "device_map"}),
        (8e9, False, {"dtype", "device_map"}),
        (24e9, True, {"dtype", "device_map"}),
    ],
)
def test_a_large_captioner_fits_a_small_gpu(tmp_path, monkeypatch, memory, has_bitsandbytes, expected):
    monkeypatch.setattr(loading, "weight_bytes", lambda folder: 15_000_000_000)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=memory))
    monkeypatch.setattr("transformers.utils.is_bitsandbytes_available", lambda: has_bitsandbytes)
    monkeypatch.setattr("transformers.BitsAndBytesConfig", lambda load_in_8bit: ("8 bit", load_in_8bit))
    placement = loading._placement(tmp_path, torch.device("cuda"))
    assert set(placement) == expected
    if memory > 10e9:
        assert placement["dtype"] == torch.float16
    elif has_bitsandbytes:
        assert placement["quantization_config"] == ("8 bit", True)
    else:
        assert placement["device_map"] == "auto"


def test_a_large_captioner_on_a_cpu_is_held_in_half_precision_where_the_cpu_has_it(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "weight_bytes", lambda folder: 15_000_000_000)
    assert loading._placement(tmp_path, CPU)["dtype"] == loading.pick_dtype(CPU)
