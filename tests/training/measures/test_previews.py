"""What the artist asks of a running training: stop, pause, and a preview just now."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ksh_studio.config import SettledTraining
from ksh_studio.errors import StudioError
from ksh_studio.generation.prompt.parse import parse
from ksh_studio.generation.prompt.weights import Fragment
from ksh_studio.generation.sampling import denoising
from ksh_studio.jobs.process import run_job
from ksh_studio.jobs.requests import forget_requests, pause_job, request_preview, stop_job
from ksh_studio.jobs.status import job_status
from ksh_studio.training.checkpoint import load_newest
from ksh_studio.training.data.buckets import fit
from ksh_studio.training.data.items import Item
from ksh_studio.training.measures import previews
from ksh_studio.training.stage import train
from tests.training.lessons import is_whole

pytestmark = pytest.mark.slow


def last(said):
    return said[-1].kind, getattr(said[-1], "key", "")


def spoken(made, say):
    """A life of the job in which `say(event)` may ask something of it; what was said."""
    forget_requests(made.job)

    def stage(job):
        for event in train(job.file.config(SettledTraining), job.project, job):
            yield event
            say(event)

    return list(run_job(made.job, stage))


def test_captions_are_drawn_as_the_plain_words_that_are_trained(lesson):
    made = lesson(max_train_steps=1)
    trigger = made.job.file.trigger
    captions = ["artoria pendragon (fate)", "<lora:x:1> girl", "a BREAK b # c"]
    items = [Item("id", Path("x"), trigger.apply(caption), fit(64, 64, 64, 8, "bucket"), "") for caption in captions]
    config = made.job.file.config(SettledTraining).model_copy(update={"validation_prompts": ()})
    prompts = previews.preview_prompts(config, made.job.project, trigger, items)
    assert [parse(prompt).fragments for prompt in prompts] == [
        (Fragment(text),) for text in [*(item.caption for item in items), captions[0]]
    ]


def test_a_paused_run_frees_the_device_and_goes_on_as_if_nothing_had_been(lesson):
    made = lesson(max_train_steps=4)
    said = spoken(made, lambda event: pause_job(made.job) if event.kind == "step" and event.step == 2 else None)
    assert last(said) == ("paused", "train.paused") and said[-1].values == {"step": "2", "total": "4"}
    assert [event.kind for event in said[-3:]] == ["checkpoint", "lora", "paused"]
    assert job_status(made.job).state == "paused"
    again = made.run()
    assert [event.step for event in again if event.kind == "resumed"] == [2] and again[-1].kind == "finished"
    straight = lesson(max_train_steps=4)
    straight.run()
    one, other = (load_newest(run.job.checkpoints).tensors for run in (straight, made))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert [event.loss for event in straight.of("step")] == [event.loss for event in made.of("step")]


def test_a_pause_before_the_first_step_is_said(lesson):
    made = lesson()
    said = spoken(made, lambda event: pause_job(made.job) if event.kind == "started" else None)
    assert last(said) == ("paused", "train.paused_early") and not made.job.checkpoints.exists()


def test_previews_asked_for_are_drawn_before_the_next_step_and_disturb_nothing(lesson):
    made, plain = lesson(max_train_steps=4, learning_rate=0.1), lesson(max_train_steps=4, learning_rate=0.1)

    def say(event):
        if event.kind == "step" and event.step == 2:
            request_preview(made.job, "a boy", 7)
            request_preview(made.job, "a girl")
        if event.kind == "step" and event.step == 4:
            request_preview(made.job, "a cat")

    said = spoken(made, say)
    asked = [event for event in said if event.kind == "preview" and event.asked]
    assert [(event.step, event.prompt, event.seed) for event in asked] == [
        (2, "a boy", 7), (2, "a girl", 42), (4, "a cat", 42)
    ]  # fmt: skip
    names = [event.path.rsplit("/", 1)[1] for event in asked]
    assert names == ["now-000002-1.png", "now-000002-2.png", "now-000004-1.png"]
    place = said.index(asked[1])
    assert said[place + 1].kind == "step" and said[place + 1].step == 3
    assert made.job.take_requested_previews() == []
    plain.run()
    one, other = (load_newest(run.job.checkpoints).tensors for run in (plain, made))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)

    def shown(event):
        return np.asarray(Image.open(made.project.root / event.path), dtype=int)

    usual = next(event for event in said if event.kind == "preview" and event.step == 4 and not event.asked)
    assert np.abs(shown(asked[1]) - shown(usual)).max() > 2  # the weights of step 2 are not those of step 4
    assert made.of("lora")[-1].path.endswith("ksh-000004.safetensors")
    thumbnail = (made.job.loras / "ksh-000004.png").read_bytes()
    assert thumbnail == (made.project.root / usual.path).read_bytes()  # never one that was asked for


@pytest.mark.parametrize("word", [stop_job, pause_job])
def test_a_request_that_comes_while_an_asked_preview_is_drawn_is_answered_at_once(word, lesson, monkeypatch):
    made, steps = lesson(max_train_steps=4), []
    original = denoising.denoise

    def denoise(base, request, encoded, seeds):
        for step in original(base, request, encoded, seeds):
            if request.prompt == "a boy":
                steps.append(step.done)
                word(made.job)
            yield step

    monkeypatch.setattr(denoising, "denoise", denoise)

    def say(event):
        if event.kind == "step" and event.step == 2:
            request_preview(made.job, "a boy", 7)
            request_preview(made.job, "a dog")

    said = spoken(made, say)
    assert steps == [1] and said[-1].kind == {stop_job: "stopped", pause_job: "paused"}[word]
    assert said[-1].values["step"] == "2" and not [event for event in said if getattr(event, "asked", False)]
    monkeypatch.undo()
    again = spoken(made, lambda event: None)
    asked = [(event.step, event.prompt) for event in again if getattr(event, "asked", False)]
    assert asked == [(2, "a boy"), (2, "a dog")] and again[-1].kind == "finished"


def test_an_asked_preview_that_fails_is_a_warning(lesson, monkeypatch):
    made = lesson(max_train_steps=2)
    original = denoising.make_pictures

    def broken(base, request, *rest):
        if request.prompt == "a boy":
            raise StudioError("generate.not_finite", base="x")
        return original(base, request, *rest)

    monkeypatch.setattr("ksh_studio.training.measures.previews.make_pictures", broken)
    said = spoken(made, lambda event: request_preview(made.job, "a boy") if event.kind == "planned" else None)
    assert [event.key for event in said if event.kind == "warned"] == ["train.preview_failed"]
    assert said[-1].kind == "finished"


def test_a_preview_says_nothing_of_this_machines_folders(lesson, base_folder):
    made = lesson(max_train_steps=1)
    made.run()
    pictures = [*made.job.previews.glob("*.png"), *made.job.loras.glob("*.png")]
    assert len(pictures) >= 3 and made.job.file.settings["base_model"] == str(base_folder)
    assert not [path for path in pictures if str(base_folder.parent).encode() in path.read_bytes()]


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


@pytest.mark.parametrize(("ask", "kind"), [(stop_job, "stopped"), (pause_job, "paused")])
def test_stop_in_the_middle_of_a_picture_waits_for_one_denoising_step(ask, kind, lesson, monkeypatch):
    made, seen = lesson(max_train_steps=6, validation_steps=3), []

    def make_pictures(base, request, seeds, on_step=None):
        def step(done):
            seen.append(done.done)
            if len(seen) == 5:  # the second of the picture at step 3; that of step 0 has three
                ask(made.job)
            return on_step(done)

        return denoising.make_pictures(base, request.model_copy(update={"num_inference_steps": 3}), seeds, step)

    monkeypatch.setattr(previews, "make_pictures", make_pictures)
    said = made.run()
    assert seen == [1, 2, 3, 1, 2]
    assert (said[-1].kind, said[-1].values["step"]) == (kind, "3")
    assert [event.step for event in said if event.kind == "preview"] == [0]
    assert is_whole(made.job, 3)
    assert made.run()[-1].kind == "finished"
    assert [event.step for event in made.of("preview")] == [0, 3, 6]
