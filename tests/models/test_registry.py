"""The registry: names, constants and defaults, without torch; the shipped models are checked before they load."""

import hashlib
import json
import subprocess
import sys

import pytest

from ksh_studio.config import TrainConfig
from ksh_studio.errors import StudioError
from ksh_studio.models import registry
from ksh_studio.models import shipped as assets
from ksh_studio.models.registry import (
    base_entry,
    base_models,
    captioner_entry,
    captioners,
    default_base,
    default_captioner,
    has_name,
)


def test_the_named_models_are_those_of_the_design():
    assert [entry.name for entry in base_models()] == ["anything-v5", "pocket"]
    assert [entry.name for entry in captioners()] == ["blip2-opt-2.7b", "blip2-flan-t5-xl", "pocket"]
    assert base_entry("anything-v5").source == "stablediffusionapi/anything-v5"
    assert base_entry("anything-v5").clip_skip == 2
    assert captioner_entry("blip2-opt-2.7b").revision == "51572668da0eb669e01a189dc22abe6088589a24"
    assert captioner_entry("blip2-flan-t5-xl").revision == "0eb0d3b46c14c1f8c7680bca2693baafdb90bb28"


def test_what_a_gpu_begins_with_and_what_a_cpu_begins_with():
    assert (default_base("cuda"), default_captioner("cuda")) == ("anything-v5", "blip2-opt-2.7b")
    assert (default_base("cpu"), default_captioner("cpu")) == ("pocket", "pocket")


def test_overrides_are_settings_that_exist():
    for entry in base_models():
        assert set(entry.training) <= set(TrainConfig.model_fields)


def test_any_hub_id_folder_or_file_is_an_entry(tmp_path):
    (tmp_path / "model.safetensors").touch()
    hub, folder, file = (
        base_entry(name) for name in ("owner/name", str(tmp_path), str(tmp_path / "model.safetensors"))
    )
    assert (hub.source_type, folder.source_type, file.source_type) == ("hub", "folder", "file")
    assert (hub.label, folder.label, file.label) == ("owner/name", tmp_path.name, "model")
    assert has_name(hub)
    assert has_name(base_entry("pocket"))
    assert not has_name(folder)


def test_a_folder_knows_its_own_size(tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text('{"sample_size": 96}')
    assert base_entry(str(tmp_path)).native_size == 768
    (tmp_path / "unet" / "config.json").write_text("nonsense")
    assert base_entry(str(tmp_path)).native_size == 512


def test_pockets_constants_come_from_its_own_file(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "POCKET", tmp_path)
    constants = {"native_size": 96, "clip_skip": 1, "latent_rgb": [[1, 2, 3]] * 8, "made_by": "a recipe"}
    captioner = {"prompt": "a drawing of", "generation": {"num_beams": 1}}
    (tmp_path / "registry.json").write_text(json.dumps({"base": constants, "captioner": captioner}))
    assert base_entry("pocket").native_size == 96
    assert base_entry("pocket").latent_rgb == ((1, 2, 3),) * 8
    assert captioner_entry("pocket").prompt == "a drawing of"
    (tmp_path / "registry.json").write_text("{")
    with pytest.raises(StudioError) as error:
        base_entry("pocket")
    assert error.value.sentence.key == "models.damaged_asset"


def test_a_single_file_is_no_captioner_and_is_refused_by_name(tmp_path):
    path = tmp_path / "blip2.safetensors"
    path.write_bytes(b"")
    with pytest.raises(StudioError) as error:
        captioner_entry(str(path))
    assert error.value.sentence.key == "models.captioner_is_a_file"
    assert str(path) in error.value.text("en") and str(path) in error.value.text("ko")


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A shipped model of one file, with its manifest."""
    folder = tmp_path / "base" / "unet"
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"weights" * 1000)
    sha256 = hashlib.sha256(b"weights" * 1000).hexdigest()
    files = {"base/unet/weights.safetensors": {"sha256": sha256, "bytes": 7000}}
    (tmp_path / "manifest.json").write_text(json.dumps({"files": files}))
    monkeypatch.setattr(assets, "POCKET", tmp_path)
    return tmp_path


def test_a_whole_shipped_model_passes_and_other_folders_are_not_looked_at(shipped, tmp_path_factory):
    assets.check_shipped(shipped / "base")
    assets.check_shipped(tmp_path_factory.mktemp("own"))


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "manifest"])
def test_a_damaged_shipped_model_is_one_sentence_that_names_the_file(shipped, damage):
    weights = shipped / "base" / "unet" / "weights.safetensors"
    assets.check_shipped(shipped / "base")
    if damage == "cut":
        weights.write_bytes(b"weights" * 999)
    elif damage == "changed":
        weights.write_bytes(b"Weights" + b"weights" * 999)
    elif damage == "gone":
        weights.unlink()
    else:
        (shipped / "manifest.json").unlink()
    with pytest.raises(StudioError) as error:
        assets.check_shipped(shipped / "base")
    assert error.value.sentence.key == (
        "models.missing_asset" if damage in ("gone", "manifest") else "models.damaged_asset"
    )
    assert ("manifest.json" if damage == "manifest" else "weights.safetensors") in str(error.value)


def test_a_file_is_hashed_once_as_long_as_it_stays(shipped, monkeypatch):
    assets.check_shipped(shipped / "base")
    monkeypatch.setattr(assets, "sha256", lambda *_: pytest.fail("read again"))
    assets.check_shipped(shipped / "base")


def test_a_file_of_the_hubs_cache_is_not_read_for_its_hash(tmp_path):
    name = "a" * 64
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / name).write_bytes(b"x")
    assert assets.cached_sha256(tmp_path / "blobs" / name) == name


def test_the_registry_needs_no_torch():
    code = (
        "import sys; from ksh_studio.models import registry, device, shipped, files;"
        "from ksh_studio.generation import request, loras, sampler_menu;"
        "from ksh_studio.generation.prompt import parse;"
        "from ksh_studio.generation.pictures import gallery, recipe;"
        "registry.base_models(); sys.exit('torch' in sys.modules or 'diffusers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_path_that_is_not_absolute_is_kept_so_that_another_process_finds_it(tmp_path, monkeypatch):
    (tmp_path / "my model.safetensors").touch()
    monkeypatch.chdir(tmp_path)
    for name in ("my model.safetensors", "'my model.safetensors'", "./my%20model.safetensors"):
        entry = base_entry(name)
        assert entry.name == entry.source == str(tmp_path / "my model.safetensors")
