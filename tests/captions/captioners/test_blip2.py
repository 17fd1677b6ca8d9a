"""BLIP-2 in both kinds: old repositories without an image token, small ones and large ones on small GPUs."""

import json
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from ksh_studio.captions.captioners import blip2
from ksh_studio.captions.captioners.blip2 import load_blip2, write_captions
from ksh_studio.config import CaptionConfig
from ksh_studio.errors import validated
from ksh_studio.models.registry import captioner_entry
from ksh_studio.presets import CAPTION_PRESETS
from tests.drawings.pictures import picture
from tests.tiny import tiny_captioner_folder

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {kind: tiny_captioner_folder(tmp_path_factory.mktemp(kind), kind) for kind in ("opt", "t5")}


def written(captioner):
    """What it generates for one grey picture, as ids."""
    inputs = captioner.processor(images=[Image.new("RGB", (40, 30), "grey")], text=["a"], return_tensors="pt")
    return captioner.model.generate(**inputs, max_new_tokens=5, min_new_tokens=5)


@pytest.mark.parametrize("language", ["opt", "t5"])
def test_a_repository_older_than_the_image_token_writes_the_same(tmp_path, language):
    folder = tiny_captioner_folder(tmp_path, language)
    expected_captions = written(load_blip2(captioner_entry(str(folder)), CPU))
    config = json.loads((folder / "config.json").read_text())
    assert config.pop("image_token_index") is not None
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "processor_config.json").unlink()
    pictures = {"image_processor_type": "BlipImageProcessor", "size": {"height": 32, "width": 32}}
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures))
    loaded = load_blip2(captioner_entry(str(folder)), CPU)
    assert loaded.model.config.image_token_index == loaded.processor.tokenizer.convert_tokens_to_ids("<image>")
    assert torch.equal(written(loaded), expected_captions)


@pytest.mark.parametrize(
    ("memory", "has_bitsandbytes", "expected"),
    [
        (8e9, True, {"quantization_config", "device_map"}),
        (8e9, False, {"dtype", "device_map"}),
        (24e9, True, {"dtype", "device_map"}),
    ],
)
def test_a_large_captioner_fits_a_small_gpu(tmp_path, monkeypatch, memory, has_bitsandbytes, expected):
    monkeypatch.setattr(blip2, "weight_bytes", lambda folder: 15_000_000_000)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=memory))
    monkeypatch.setattr("transformers.utils.is_bitsandbytes_available", lambda: has_bitsandbytes)
    monkeypatch.setattr("transformers.BitsAndBytesConfig", lambda load_in_8bit: ("8 bit", load_in_8bit))
    placement = blip2._placement(tmp_path, torch.device("cuda"))
    assert set(placement) == expected
    if memory > 10e9:
        assert placement["dtype"] == torch.float16
    elif has_bitsandbytes:
        assert placement["quantization_config"] == ("8 bit", True)
    else:
        assert placement["device_map"] == "auto"


def test_a_large_captioner_on_a_cpu_is_held_in_half_precision_where_the_cpu_has_it(tmp_path, monkeypatch):
    monkeypatch.setattr(blip2, "weight_bytes", lambda folder: 15_000_000_000)
    assert blip2._placement(tmp_path, CPU)["dtype"] == blip2.pick_dtype(CPU)


@pytest.mark.parametrize("kind", ["opt", "t5"])
def test_a_real_blip2_captions_without_echoing_its_prompt(folders, kind):
    captioner = load_blip2(captioner_entry(str(folders[kind])), CPU)
    config = CaptionConfig(prompt="abc xyz", max_new_tokens=12, min_new_tokens=12, num_beams=2, no_repeat_ngram_size=0)
    written_captions = write_captions(captioner, [picture(1), picture(2, (90, 30))], config)
    raw = write_captions(captioner, [picture(1)], config.model_copy(update={"prompt": ""}))
    assert len(written_captions) == 2
    assert all(text and "abc xyz" not in text for text in written_captions)
    assert (
        4 <= len(written_captions[0].replace(" ", "")) <= 40
    )  # at most twelve tokens of a letter each, none of them cut away
    assert raw[0]


@pytest.mark.parametrize("kind", ["opt", "t5"])
def test_a_batch_says_what_each_drawing_alone_says(folders, kind):
    captioner = load_blip2(captioner_entry(str(folders[kind])), CPU)
    config = CaptionConfig(prompt="a", max_new_tokens=10, num_beams=2)
    images = [picture(n, (40 + 10 * n, 60)) for n in range(3)]
    assert write_captions(captioner, images, config) == [
        write_captions(captioner, [image], config)[0] for image in images
    ]


def test_the_seed_decides_varied_wording_and_nothing_else_does(folders):
    captioner = load_blip2(captioner_entry(str(folders["opt"])), CPU)
    config = CaptionConfig(prompt="a", max_new_tokens=12, num_beams=1, do_sample=True, seed=1)
    first = write_captions(captioner, [picture(1)], config)
    before = torch.random.get_rng_state()
    torch.rand(7)
    assert write_captions(captioner, [picture(1)], config) == first
    assert write_captions(captioner, [picture(1)], config.model_copy(update={"seed": 2})) != first
    torch.random.set_rng_state(before)


def test_a_wide_drawing_is_padded_not_squashed(folders, monkeypatch):
    captioner = load_blip2(captioner_entry(str(folders["opt"])), CPU)
    squares = []
    real = captioner.processor.image_processor.__class__.__call__

    def look(self, images, *rest, **options):
        squares.extend(images)
        return real(self, images, *rest, **options)

    monkeypatch.setattr(captioner.processor.image_processor.__class__, "__call__", look)
    write_captions(captioner, [Image.new("RGB", (90, 30), "black")], CaptionConfig(prompt="a", max_new_tokens=6))
    assert squares[0].size == (90, 90)
    assert (squares[0].getpixel((45, 2)), squares[0].getpixel((45, 45))) == ((255, 255, 255), (0, 0, 0))


def test_the_original_presses_a_drawing_into_its_square_and_keeps_what_is_written(folders, monkeypatch):
    captioner = load_blip2(captioner_entry(str(folders["t5"])), CPU)
    pictures = []
    real = captioner.processor.image_processor.__class__.__call__

    def look(self, images, *rest, **options):
        pictures.extend(images)
        return real(self, images, *rest, **options)

    monkeypatch.setattr(captioner.processor.image_processor.__class__, "__call__", look)
    monkeypatch.setattr(captioner.processor, "batch_decode", lambda *_, **__: [" a photo of a girl, a girl,\nsmile"])
    for version, caption_kept in (
        ("original", "a photo of a girl, a girl, smile"), ("original_later", "a photo of a girl a girl smile")
    ):  # fmt: skip
        config = validated(CaptionConfig, CAPTION_PRESETS[version])
        assert write_captions(captioner, [Image.new("RGB", (90, 30), "black")], config) == [caption_kept]
    assert [image.size for image in pictures] == [(512, 512)] * 2
    assert pictures[0].getextrema() == ((0, 0),) * 3
    assert write_captions(captioner, [Image.new("RGB", (90, 30))], CaptionConfig(prompt="a")) == ["a girl, smile"]


@pytest.mark.parametrize("language", ["opt", "t5"])
def test_a_captioner_loads_and_writes(tmp_path, language, capfd):
    folder = tiny_captioner_folder(tmp_path, language)
    capfd.readouterr()
    captioner = load_blip2(captioner_entry(str(folder)), CPU)
    assert capfd.readouterr().err == ""
    assert captioner.processor.tokenizer.padding_side == "left"
    assert captioner.model.config.use_decoder_only_language_model == (language == "opt")
