import errno
import json
import os
import shutil

import pytest
import torch

from ksh_studio.errors import StudioError
from ksh_studio.training import checkpoint
from ksh_studio.training.checkpoint import load_newest, save_checkpoint

TENSORS = {"weight/a": torch.arange(6.0).view(2, 3), "adam/step/a": torch.tensor(3.0)}


def save(folder, step):
    return save_checkpoint(folder, step, TENSORS, {"step": step, "loss_ema": 0.25})


def test_what_is_saved_comes_back(tmp_path):
    path = save(tmp_path, 500)
    saved = load_newest(tmp_path)
    assert path.name == "step-000500" and (saved.step, saved.state) == (500, {"step": 500, "loss_ema": 0.25})
    assert all(torch.equal(saved.tensors[name], tensor) for name, tensor in TENSORS.items())
    assert sorted(file.name for file in path.iterdir()) == ["manifest.json", "state.json", "tensors.safetensors"]


def test_the_oldest_are_removed(tmp_path):
    for step in (1, 2, 10, 20):
        save(tmp_path, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000002", "step-000010", "step-000020"]
    assert load_newest(tmp_path / "none") is None


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("harm", ["flip", "truncate", "remove"])
def test_a_damaged_checkpoint_is_passed_over_and_named(name, harm, tmp_path):
    save(tmp_path, 1)
    file = save(tmp_path, 2) / name
    data = file.read_bytes()
    if harm == "remove":
        file.unlink()
    else:
        file.write_bytes(data[:-1] if harm == "truncate" else data[:10] + bytes([data[10] ^ 255]) + data[11:])
    saved = load_newest(tmp_path)
    assert saved.step == 1 and saved.damaged == ["step-000002"]


def test_a_newer_format_is_refused_clearly(tmp_path):
    manifest = save(tmp_path, 1) / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 2}))
    with pytest.raises(StudioError, match="newer version"):
        load_newest(tmp_path)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    save(tmp_path, 1)

    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "sync", full)
    with pytest.raises(StudioError, match="full"):
        save(tmp_path, 2)
    assert load_newest(tmp_path).step == 1 and [path.name for path in tmp_path.iterdir()] == ["step-000001"]


@pytest.mark.parametrize("moment", range(12))
def test_killed_at_any_moment_of_a_save_a_whole_checkpoint_is_found(moment, tmp_path, monkeypatch):
    save(tmp_path, 1)
    left = [moment]

    def count(function):
        def counted(*args, **options):
            if left[0] == 0:
                os._exit(9)
            left[0] -= 1
            return function(*args, **options)

        return counted

    child = os.fork()
    if child == 0:
        checkpoint.sync = count(checkpoint.sync)
        os.rename = count(os.rename)
        shutil.rmtree = count(shutil.rmtree)
        checkpoint.save_tensors = count(checkpoint.save_tensors)
        type(tmp_path).write_text = count(type(tmp_path).write_text)
        save(tmp_path, 2)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 9)
    saved = load_newest(tmp_path)
    assert saved.step in (1, 2) and saved.damaged == []
    assert torch.equal(saved.tensors["weight/a"], TENSORS["weight/a"])
    checkpoint.clean(tmp_path)
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert save(tmp_path, 3).is_dir() and load_newest(tmp_path).step == 3
