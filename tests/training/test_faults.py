"""What a disk, a drawing or a kill can do to a training: it ends clearly or goes on, and what was saved stays whole."""

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

from ksh_studio.lora.file.header import read_header
from ksh_studio.training.checkpoint import clean, load_newest
from ksh_studio.training.measures import previews
from ksh_studio.training.preflight import check as preflight
from ksh_studio.training.saving import saver as saving
from ksh_studio.training.step.step import Stepper

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
    monkeypatch.setattr(saving, "require_mine", lambda job: None)  # no process holds the job any more
    run = runs[0]
    _go(run, 3)
    return run


@torch.no_grad()
def _go(run, step):
    run.session.step = step
    for parameter in run.session.parameters.values():
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


def test_a_disk_that_is_full_when_a_preview_is_written_does_not_end_the_run(lesson, monkeypatch):
    original = previews.write_bytes
    calls = []

    def full(path, data):
        calls.append(path)
        if len(calls) == 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return original(path, data)

    monkeypatch.setattr(previews, "write_bytes", full)
    made = lesson(max_train_steps=2)
    said = made.run()
    assert [event.key for event in said if event.kind == "warned"] == ["train.preview_failed"]
    assert said[-1].kind == "finished" and [event.step for event in made.of("preview")] == [2]


@pytest.mark.parametrize("harm", ["delete", "break"])
def test_drawings_that_vanish_or_break_while_training_do_not_matter(harm, lesson, drawings):
    def hurt():
        for drawing in drawings:
            path = drawing.path(made.project)
            path.unlink() if harm == "delete" else path.write_bytes(b"RIFF no picture")

    made, straight = lesson(max_train_steps=4), lesson(max_train_steps=4)
    straight.run()
    made.run(stop_after=2)
    hurt()
    said = made.run()  # from the latents in the cache
    assert said[-1].kind == "finished" and not [event for event in said if event.kind == "warned"]
    one, other = (load_newest(run.job.checkpoints).tensors for run in (straight, made))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_broken_or_missing_drawing_is_named_and_left_out_before_the_start(lesson, drawings):
    made = lesson(max_train_steps=2)
    drawings[0].path(made.project).write_bytes(b"")
    drawings[1].path(made.project).unlink()
    said = made.run()
    named = {(event.key, event.values["name"]) for event in said if event.kind == "warned"}
    assert named == {("train.drawing_unreadable", "그림 0.png"), ("train.drawing_gone", "그림 1.png")}
    assert said[-1].kind == "finished" and made.of("planned")[0].drawings == 3


def test_where_no_drawing_can_be_read_each_is_named_and_nothing_starts(lesson, drawings):
    made = lesson(max_train_steps=2)
    for drawing in drawings:
        drawing.path(made.project).write_bytes(b"no picture")
    said = made.run()
    assert [event.key for event in said if event.kind == "warned"] == ["train.drawing_unreadable"] * len(drawings)
    assert (said[-1].kind, said[-1].key) == ("failed", "train.no_drawings")


def test_after_a_divergence_the_lora_is_finite_and_the_advice_is_a_lower_rate(lesson, monkeypatch):
    made = lesson(max_train_steps=20)
    original = Stepper.draw

    def draw(self, bucket, items, rows, index):
        batch = original(self, bucket, items, rows, index)
        return batch._replace(weights=batch.weights * (float("inf") if index >= 3 else 1.0))

    monkeypatch.setattr(Stepper, "draw", draw)
    said = made.run()
    assert said[-1].key == "train.diverged" and said[-1].values["rate"] == "1.0e-02"
    assert sum(event.kind == "warned" for event in said) == 5
    tensors = safetensors.torch.load_file(next(made.job.loras.glob("*.safetensors")))
    assert all(bool(torch.isfinite(value).all()) for value in tensors.values())


def test_a_checkpoint_of_a_newer_studio_is_refused_clearly_and_left_alone(lesson):
    made = lesson(max_train_steps=4)
    made.run(stop_after=2)
    manifest = made.job.checkpoints / "step-000002" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 2}))
    assert made.run()[-1].key == "train.checkpoint_format" and manifest.exists()


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "manifest.json"])
def test_with_its_only_checkpoint_damaged_a_job_begins_again_and_says_so(name, lesson):
    made = lesson(max_train_steps=3)
    made.run(stop_after=2)
    file = made.job.checkpoints / "step-000002" / name
    file.write_bytes(file.read_bytes()[:-3])
    said = made.run()
    assert [event.step for event in said if event.kind == "resumed"] == [0]
    assert [event.step for event in made.of("step")] == [1, 2, 3] and said[-1].kind == "finished"
    assert [event.key for event in said if event.kind == "warned"] == ["preflight.none_whole"]
