"""The files beside a LoRA file: what A1111 reads, and a picture."""

import base64
import io
import json

import pytest
from PIL import Image

from ksh_studio.lora.file.header import LoraHeader
from ksh_studio.lora.file.sidecar import sidecar_content, thumbnail_url, write_sidecar


@pytest.fixture
def header_of(tmp_path, metadata):
    """The header of a file of one module, of lora or loha."""
    shapes = {
        "lora": {"lora_down.weight": (8, 16), "lora_up.weight": (16, 8)},
        "loha": {"hada_w1_a": (16, 8), "hada_w1_b": (8, 16), "hada_w2_a": (16, 8), "hada_w2_b": (8, 16)},
    }

    def make(adapter_type="lora", **values):
        tensors = {f"lora_unet_x.{name}": shape for name, shape in shapes[adapter_type].items()}
        return LoraHeader(tmp_path / "ksh.safetensors", metadata | values, tensors)

    return make


def test_sidecar_and_picture_lie_beside_the_file(header_of, tmp_path):
    picture = tmp_path / "picture.png"
    Image.new("RGB", (8, 8)).save(picture)
    write_sidecar(header_of(), picture)
    assert json.loads((tmp_path / "ksh.json").read_text(encoding="utf-8"))["preferred weight"] == 1.0
    assert (tmp_path / "ksh.png").read_bytes() == picture.read_bytes()


def test_without_a_picture_the_one_that_is_there_stays(header_of, tmp_path):
    (tmp_path / "ksh.png").write_bytes(b"earlier")
    write_sidecar(header_of(), None)
    assert (tmp_path / "ksh.png").read_bytes() == b"earlier"


def test_a1111_reads_trigger_and_version(header_of):
    content = sidecar_content(header_of())
    assert content["activation text"] == "drawn by KSH drawing style" and content["sd version"] == "Unknown"
    assert sidecar_content(header_of(ss_base_model_version="sd_v1"))["sd version"] == "SD1"


def test_the_notes_say_what_it_was_trained_on_and_where_it_loads(header_of):
    notes = sidecar_content(header_of())["notes"]
    assert notes.startswith("Trained on tiny, 500 steps, rank 8, alpha 4.") and notes.endswith("the tiny model only.")
    assert "diffusers and KSH Studio" in notes
    assert "not in diffusers" in sidecar_content(header_of("loha"))["notes"]
    assert "model only" not in sidecar_content(header_of(ss_base_model_version="sd_v1"))["notes"]


def test_the_thumbnail_is_a_small_jpeg(tmp_path):
    Image.new("RGB", (1000, 500), "red").save(tmp_path / "picture.png")
    start, _, data = thumbnail_url(tmp_path / "picture.png").partition(",")
    assert start == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert (image.format, image.size) == ("JPEG", (256, 128))
