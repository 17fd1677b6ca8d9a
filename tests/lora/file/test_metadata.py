"""The metadata say which base model a file fits, how to call the style, and the hashes of its tensors."""

import hashlib

import pytest
import torch
from safetensors.torch import save

from ksh_studio.lora.file.metadata import base_family, modelspec, safe_stem, with_hashes


def test_sd15_is_called_sd_v1_and_nothing_else_is():
    assert base_family(768, (320, 640, 1280, 1280), "any")["ss_base_model_version"] == "sd_v1"
    assert base_family(1024, (320, 640, 1280, 1280), "any")["ss_v2"] == "True"
    assert base_family(768, (64, 128), "pocket")["ss_base_model_version"] == "pocket"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("my style!", "my-style"),
        ("a/b\\c:d", "a-b-c-d"),
        ("..", "lora"),
        ("수채화", "suchaehwa"),
        ("연필화", "yeonpilhwa"),
        ("내 그림 – 봄 2026", "nae-geurim-bom-2026"),
        ("Café", "Cafe"),
        ("con", "con-1"),
        ("!!!", "lora"),
        ("None", "lora"),
        ("", "lora"),
    ],
)
def test_a_name_is_reduced_to_what_every_program_accepts(name, stem):
    assert safe_stem(name) == stem == safe_stem(stem)
    assert len(safe_stem("x" * 100)) == len(safe_stem("수" * 100)) == 64


def test_two_names_never_write_one_file():
    names = [
        "꽃",
        "꼿",
        "日本",
        "中国",
        "그림 日本",
        "그림 中国",
        "🎨",
        "🖌",
        "x" * 100,
        "x" * 101,
        "수" * 60,
        "수" * 61,
        "그림",
    ]
    stems = [safe_stem(name) for name in names]
    assert len(set(stems)) == len(names)
    assert all(stem == safe_stem(stem) and stem.isascii() for stem in stems)


def test_the_prediction_type_and_the_trigger_are_said_as_readers_expect():
    values = modelspec("ksh", "drawn by KSH", 512, "v_prediction")
    assert values["modelspec.prediction_type"] == "v" and values["trained_words"] == "drawn by KSH"
    assert modelspec("ksh", "", 512, "epsilon")["modelspec.usage_hint"] == ""


def test_the_hashes_are_those_of_the_tensors_whatever_else_the_metadata_hold():
    tensors = {"a": torch.arange(4.0)}
    body = save(tensors)[-16:]
    one, other = (with_hashes(tensors, {"modelspec.title": title}) for title in ("one", "another"))
    assert one["sshs_model_hash"] == hashlib.sha256(body).hexdigest() == other["sshs_model_hash"]
    assert one["modelspec.hash_sha256"] == f"0x{one['sshs_model_hash']}"
    assert one["modelspec.title"] == "one"
    assert with_hashes({"a": torch.ones(4)}, {})["sshs_model_hash"] != one["sshs_model_hash"]
