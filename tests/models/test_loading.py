"""Base models and captioners are loaded from folders and files; what cannot be loaded is said in one sentence."""

import pickle
import shutil

import pytest
import torch

from ksh_studio.captions.captioners.blip2 import load_blip2
from ksh_studio.errors import StudioError
from ksh_studio.models.loading import load_base
from ksh_studio.models.registry import base_entry, captioner_entry
from tests.tiny import tiny_base_folder, tiny_captioner_folder

CPU = torch.device("cpu")


def test_a_folder_loads_frozen_in_the_wanted_precision(base_folder, capfd):
    base = load_base(base_entry(str(base_folder)), CPU, torch.float32)
    assert base.entry.native_size == 64
    assert base.prediction_type == "epsilon"
    assert not any(p.requires_grad for m in (base.unet, base.vae, base.text_encoder) for p in m.parameters())
    assert {p.dtype for p in base.unet.parameters()} == {torch.float32}
    assert len(base.sha256) == 64
    assert capfd.readouterr().err == ""


def test_half_precision_keeps_the_autoencoder_in_fp32(base_folder):
    base = load_base(base_entry(str(base_folder)), CPU, "fp16")
    assert base.unet.dtype == torch.float16
    assert base.vae.dtype == torch.float32


def test_a_folder_of_weights_in_half_precision_only_loads(base_folder, tmp_path):
    folder = tmp_path / "half"
    shutil.copytree(base_folder, folder)
    for path in folder.glob("*/*.safetensors"):
        path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    base = load_base(base_entry(str(folder)), CPU, torch.float32)
    assert base.weights.name == "diffusion_pytorch_model.fp16.safetensors"
    original = load_base(base_entry(str(base_folder)), CPU, torch.float32)
    assert torch.equal(base.unet.conv_in.weight, original.unet.conv_in.weight)


def test_an_sd2_type_folder_says_that_it_predicts_v(tmp_path):
    base = load_base(base_entry(str(tiny_base_folder(tmp_path, "v_prediction"))), CPU)
    assert base.prediction_type == "v_prediction"


@pytest.mark.parametrize("name", ["model.ckpt", "a/b.pt", "pytorch_model.bin"])
def test_a_pickle_is_refused_and_never_opened(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(_bomb(tmp_path / "marker"))
    with pytest.raises(StudioError) as error:
        base_entry(name)
    assert error.value.sentence.key == "models.pickle"
    assert not (tmp_path / "marker").exists()


def test_a_pickle_renamed_to_safetensors_is_refused(tmp_path):
    path = tmp_path / "style.safetensors"
    path.write_bytes(_bomb(tmp_path / "marker"))
    with pytest.raises(StudioError) as error:
        load_base(base_entry(str(path)), CPU)
    assert error.value.sentence.key == "models.not_safetensors"
    assert not (tmp_path / "marker").exists()


def test_a_folder_with_pickles_only_is_refused(base_folder, tmp_path):
    folder = tiny_base_folder(tmp_path / "b")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(StudioError) as error:
        load_base(base_entry(str(folder)), CPU)
    assert error.value.sentence.key == "models.only_pickles"


@pytest.mark.parametrize(
    "name", ["/no/such/folder", "no such model", "../x", "C:\\models\\anything", "a\0b", "x" * 5000]
)
def test_a_base_model_that_is_not_there_is_one_sentence(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudioError) as error:
        load_base(base_entry(name), CPU)
    assert error.value.sentence.key == "models.not_there"
    assert "\n" not in str(error.value)


def test_a_folder_that_is_no_model_and_a_damaged_one_are_one_sentence_each(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudioError) as error:
        load_base(base_entry(str(tmp_path / "empty")), CPU)
    assert error.value.sentence.key == "models.not_a_base"
    folder = tiny_base_folder(tmp_path / "cut")
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(StudioError) as error:
        load_base(base_entry(str(folder)), CPU)
    assert error.value.sentence.key == "models.unreadable"


def test_a_base_is_no_captioner_and_the_other_way_round(base_folder, tmp_path):
    with pytest.raises(StudioError) as error:
        load_blip2(captioner_entry(str(base_folder)), CPU)
    assert error.value.sentence.key == "models.not_a_captioner"
    with pytest.raises(StudioError) as error:
        load_base(base_entry(str(tiny_captioner_folder(tmp_path))), CPU)
    assert error.value.sentence.key == "models.not_a_base"


class _Touch:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def _bomb(marker) -> bytes:
    return pickle.dumps(_Touch(marker))
