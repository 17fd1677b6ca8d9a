"""Models by hub id, against a stand-in for the hub in child processes: what is downloaded, loaded, and said."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models.hub import hub
from tests.tiny import tiny_base_folder, tiny_captioner_folder

ROOT = Path(__file__).resolve().parent.parent.parent
LOAD = """
import sys
import torch
from ksh_studio.captions.captioners.blip2 import load_blip2
from ksh_studio.models import loading, registry
base = loading.load_base(registry.base_entry("artist/anything"), torch.device("cpu"))
captioner = load_blip2(registry.captioner_entry("artist/blip2"), torch.device("cpu"))
sys.stdout.write(f"{base.entry.native_size} {len(base.sha256)} {captioner.processor.tokenizer.padding_side}")
"""
FIND = """
import sys
from ksh_studio.errors import StudioError
from ksh_studio.models import files, registry
for name in sys.argv[1:]:
    entry = registry.base_entry(name)
    sys.stdout.write("download " if files.needs_download(entry) else "here ")
    try:
        sys.stdout.write(f"{files.base_folder(entry).name} ")
    except StudioError as error:
        sys.stdout.write(f"{error.sentence.key} ")
"""


def child(code, home, *arguments, endpoint=None):
    """What a fresh process writes and says; without endpoint it is offline."""
    environment = os.environ | {"HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    if endpoint:
        environment |= {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def base_repository(tmp_path):
    """A base model's repository as the hub has them: with pickles, other variants and a whole checkpoint beside."""
    folder = tiny_base_folder(tmp_path / "repository")
    for name in ("anything.ckpt", "unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.fp16.safetensors"):
        (folder / name).write_bytes(b"pickle")
    (folder / "README.md").write_text("a model")
    return folder


def test_models_are_fetched_by_hub_id_without_pickles_and_are_there_offline(base_repository, tmp_path):
    home = tmp_path / "home"
    repositories = {"artist/anything": base_repository, "artist/blip2": tiny_captioner_folder(tmp_path / "blip2")}
    with hub(repositories) as (address, requested_paths):
        assert child(LOAD, home, endpoint=address) == ("64 64 left", "")
    fetched = {path.split("/resolve/")[1].partition("/")[2] for path in requested_paths if "/resolve/" in path}
    assert {"unet/diffusion_pytorch_model.safetensors", "model.safetensors"} <= fetched
    assert not any(name.endswith((".bin", ".ckpt", ".md")) or "fp16" in name for name in fetched)
    assert child(FIND, home, "artist/anything")[0].split() == ["here", "c" * 40]


def test_weights_that_the_hub_has_in_half_precision_only_are_fetched(base_repository, tmp_path):
    (base_repository / "unet" / "diffusion_pytorch_model.fp16.safetensors").unlink()
    for path in base_repository.rglob("*.safetensors"):
        path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    with hub({"artist/half": base_repository}) as (address, requested_paths):
        assert child(FIND, tmp_path / "home", "artist/half", endpoint=address)[0].split() == ["download", "c" * 40]
    assert any(path.endswith("unet/diffusion_pytorch_model.fp16.safetensors") for path in requested_paths)


def test_what_the_hub_does_not_give_is_one_sentence_each(base_repository, tmp_path):
    for path in base_repository.rglob("*.safetensors"):
        path.unlink()
    with hub({"artist/pickles": base_repository}) as (address, requested_paths):
        output, _ = child(FIND, tmp_path / "home", "artist/pickles", "artist/nothing", endpoint=address)
    assert output.split() == ["download", "models.only_pickles", "download", "models.hub_unknown"]
    assert not any(path.endswith((".bin", ".ckpt")) for path in requested_paths if "/resolve/" in path)
    output, _ = child(FIND, tmp_path / "home", "artist/other", endpoint="http://127.0.0.1:9")
    assert output.split() == ["download", "models.hub_unreachable"]
