"""What a disk or a kill can do to a save: the training ends clearly or goes on, and what was saved stays whole."""

import errno
import json
import os
import random
import signal
import sys
import time

import pytest
import safetensors.torch
import torch
from safetensors import SafetensorError

from ksh_studio.config import SettledTraining
from ksh_studio.errors import StudioError
from ksh_studio.jobs.folder import Job
from ksh_studio.jobs.owner import OWNER_FILE, take_ownership
from ksh_studio.lora.file.header import read_header
from ksh_studio.training.checkpoint import clean, load_newest
from ksh_studio.training.preflight import check as preflight
from ksh_studio.training.saving import saver as saving
from ksh_studio.training.saving.saver import lora_stem
from ksh_studio.training.stage import train

pytestmark = pytest.mark.slow

CALLS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "shutil.rmtree"}
"""Audit events of what changes a disk."""
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def saved(lesson, monkeypatch):
    """A run that has saved at step 2 and stands at step 3 with other weights, about to save."""
    runs = []
    original = preflight.planned
    monkeypatch.setattr(preflight, "planned", lambda run, measured: runs.append(run) or original(run, measured))
    lesson(max_train_steps=2).run()
    monkeypatch.setattr(saving, "require_ownership", lambda job: None)  # no process owns the job any more
    run = runs[0]
    _go(run, 3)
    return run


@torch.no_grad()
def _go(run, step):
    run.training_state.step = step
    for parameter in run.training_state.parameters.values():
        parameter.fill_(step / 100)


def _save(run):
    list(run.saver.save(run.previews, 1.0))


def _killed_at(moment, run):
    """Save in a child that is killed at the `moment`-th call that touches the job's folder; True if it came so far."""
    folder, left, fsync = str(run.job.folder), [moment], os.fsync

    def count(*_):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event, values):
        if event in CALLS and isinstance(values[0], str | os.PathLike) and os.fspath(values[0]).startswith(folder):
            count()

    child = os.fork()
    if child == 0:
        os.fsync = lambda descriptor: (count(), fsync(descriptor))
        sys.addaudithook(hook)
        _save(run)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return status != 0


def _whole(run, steps):
    """Nothing that is there is broken: the newest checkpoint, and every LoRA that has its name."""
    found = load_newest(run.job.checkpoints)
    assert found.step in steps and found.damaged == []
    if found.step > 2:
        weights = [value for name, value in found.tensors.items() if name.startswith("weight/")]
        assert all(bool((value == torch.tensor(found.step / 100)).all()) for value in weights)
    for path in run.job.loras.glob("[!.]*.safetensors"):
        assert read_header(path).rank == 4 and len(safetensors.torch.load_file(path)) > 50
    for path in run.job.loras.glob("[!.]*.json"):
        json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_every_write_of_a_save_the_newest_state_is_whole(saved):
    moment = 1
    while _killed_at(moment, saved):
        _whole(saved, (2, 3))
        for folder in (saved.job.checkpoints, saved.job.loras):
            clean(folder)
            assert not list(folder.glob(".*"))
        moment += 1
    assert moment > 40 and _whole(saved, (3,)).step == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kills", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_at_random_moments_at_most_one_interval_is_lost(kills, saved):
    chance = random.Random(4)
    for _ in range(kills):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            for step in range(3, 1000):
                _go(saved, step)
                _save(saved)
                os.write(write, b"%d\n" % step)
            os._exit(0)
        os.close(write)
        time.sleep(chance.uniform(0.0, 0.6))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(read, "rb") as pipe:
            told = [int(line) for line in pipe.read().split()]
        reached = max(told, default=2)
        _whole(saved, (reached, reached + 1))
        for step in range(3, reached + 2):  # the next life begins at step 2 again
            path = saved.job.checkpoints / f"step-{step:06d}"
            path.rename(saved.job.checkpoints / f".void-{step}") if path.exists() else None
        clean(saved.job.checkpoints)
        _go(saved, 2)
        saved.saver.checkpointed = saved.saver.exported = -1
        if load_newest(saved.job.checkpoints) is None:  # three newer ones have replaced it
            _save(saved)


def _torn(tensors, path, metadata=None):
    """As the library writes onto a disk that becomes full: half a file, and the number in the text only."""
    path.write_bytes(safetensors.torch.save(tensors, metadata)[:1000])
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize("place", ["tensors", "state", "manifest", "lora", "sidecar"])
def test_a_disk_that_becomes_full_at_any_file_of_a_save_ends_clearly(place, lesson, monkeypatch):
    made = lesson(max_train_steps=4)
    made.run(stop_after=2)
    save_file, write_text = safetensors.torch.save_file, type(made.job.folder).write_text

    def tensors(values, path, metadata=None):
        wanted = {"tensors": "tensors.safetensors", "lora": "ksh-000004"}.get(place, "nothing")
        return _torn(values, path, metadata) if wanted in path.name else save_file(values, path, metadata)

    def text(path, *values, **options):
        if place in path.name:
            raise FULL
        return write_text(path, *values, **options)

    write_bytes = type(made.job.folder).write_bytes

    def data(path, values):
        if place == "sidecar" and "ksh-000004.json" in path.name:
            raise FULL
        return write_bytes(path, values)

    monkeypatch.setattr(safetensors.torch, "save_file", tensors)
    monkeypatch.setattr(type(made.job.folder), "write_text", text)
    monkeypatch.setattr(type(made.job.folder), "write_bytes", data)
    said = made.run()
    assert said[-1].key == "disk.full"
    newest = load_newest(made.job.checkpoints)
    assert newest.step == (4 if place in ("lora", "sidecar") else 2) and newest.damaged == []
    assert [path for path in made.job.folder.rglob(".*") if path.name.startswith(".")] == []
    monkeypatch.undo()
    assert made.run()[-1].kind == "finished" and load_newest(made.job.checkpoints).step == 4
    read_header(made.job.loras / "ksh-000004.safetensors")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_disk_that_may_not_be_written_is_a_sentence_and_no_traceback(number, lesson, monkeypatch):
    made = lesson(max_train_steps=2)

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("ksh_studio.training.checkpoint._stage", refuse)
    said = made.run()
    assert said[-1].key == "disk.forbidden" and str(made.job.checkpoints) in said[-1].text()
    assert not made.job.log.exists() or "Traceback" not in made.job.log.read_text(encoding="utf-8")


def test_a_training_that_lost_its_job_saves_nothing_more(lesson):
    made = lesson(max_train_steps=6, checkpointing_steps=2)
    said = []
    with pytest.raises(StudioError, match="no longer this process's"):
        for event in train(made.job.file.config(SettledTraining), made.project, made.job):
            said.append(event)
            if event.kind == "lora":
                take_ownership(made.job.folder)
                file = made.job.folder / OWNER_FILE
                file.write_text(json.dumps(json.loads(file.read_text()) | {"began": 1.0}))
    assert [event.step for event in said if event.kind == "checkpoint"] == [2]
    assert [path.name for path in made.job.checkpoints.iterdir()] == ["step-000002"]
    assert [path.name for path in made.job.loras.glob("*.safetensors")] == ["ksh-000002.safetensors"]


@pytest.mark.parametrize(
    ("name", "stem"), [("수채화", "suchaehwa"), ("연필화", "yeonpilhwa"), ("", "nae-geurim"), ("ksh", "ksh")]
)
def test_the_files_are_called_by_their_name_or_the_projects(project, name, stem):
    assert lora_stem(Job(project.jobs / "a", project), name) == stem


def test_a_job_goes_on_with_the_name_of_its_files(project):
    job = Job(project.jobs / "a", project)
    job.loras.mkdir(parents=True)
    (job.loras / "project-6a7928-000500.safetensors").touch()
    project.change(name="수채화")
    assert lora_stem(job, "") == "project-6a7928"
