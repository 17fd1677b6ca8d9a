"""Generate while a training, or another job, computes on the device: a job whose lock this test holds."""

import threading
import time
from contextlib import contextmanager

import gradio as gr
import pytest

from ksh_studio.config import CaptionConfig
from ksh_studio.disk import locked
from ksh_studio.events import Finished, Paused
from ksh_studio.generation.worker.handle import Worker
from ksh_studio.jobs.start import create_job
from ksh_studio.ui.app import build_app
from ksh_studio.ui.generate import busy_device
from tests.jobs.written_jobs import append, job_with, step
from tests.ui.open_page import OpenPage

PAUSED = Paused.saying("train.paused", step=53, total=120)


@pytest.fixture
def build():
    return build_app


@pytest.fixture
def requests(monkeypatch):
    """What the worker was asked to draw."""
    requests = []

    def generate(worker, config, project):
        requests.append(config.prompt)
        yield Finished.saying("generate.finished", count=1, seconds=2)

    monkeypatch.setattr(Worker, "generate", generate)
    return requests


@contextmanager
def working(job, *last_events):
    """The job works until it is asked to pause, or the block ends; then it writes its last events and is let go."""
    locks, over = threading.Event(), threading.Event()

    def work():
        with locked(job.lock, "job.running", name=job.id):
            locks.set()
            while not (over.is_set() or job.pause_requested()):
                time.sleep(0.02)
            append(job, *last_events)

    thread = threading.Thread(target=work)
    thread.start()
    locks.wait(60)
    try:
        yield
    finally:
        over.set()
        thread.join(60)


def steps_to(number):
    return [step(each, total=120, pace=1.0) for each in range(1, number + 1)]


@pytest.mark.parametrize("role", ["owner", "guest"])
def test_the_training_is_named_at_once_and_the_owner_can_do_something_else(opened, requests, role):
    page = opened(role)
    page.project.change(name="내 그림")
    page.set("generate-prompt", "a cat")
    with working(job_with(page.project, *steps_to(53))):
        answer = page.press("generate-go")
        assert page.press("tab-generate", "select")["generate-status"] == answer["generate-status"]
    assert "내 그림 trains: step 53 of 120, 1 min 7 s left" in answer["generate-status"]
    for button in ("pause-and-draw", "preview-instead"):
        assert answer[button]["visible"] == (role == "owner")
    assert requests == []
    free = page.press("tab-generate", "select")
    assert free["generate-status"] == "" and not free["pause-and-draw"]["visible"]
    assert "generate-status" not in page.press("tab-generate", "select")


def test_pause_and_draw_pauses_the_training_draws_and_says_how_it_goes_on(opened, requests):
    page = opened("owner")
    page.set("generate-prompt", "a cat")
    job = job_with(page.project, *steps_to(53))
    with working(job, PAUSED):
        updates = [update["generate-status"] for update in page.stream("pause-and-draw")]
    assert "finishes its step" in updates[0] and requests == ["a cat"]
    assert "ksh-good" in updates[-1] and "Mine is paused after step 53 of 120. Resume on the Train tab" in updates[-1]


def test_a_training_that_does_not_pause_in_time_is_said(opened, requests, monkeypatch):
    monkeypatch.setattr(busy_device, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(busy_device, "pause_job", lambda job: None)
    page = opened("owner")
    with working(job_with(page.project)), pytest.raises(gr.Error, match="has not finished its step"):
        page.press("pause-and-draw")
    assert requests == [] and page.value("generate-status") == ""


def test_when_the_training_has_ended_meanwhile_the_picture_is_just_drawn(opened, requests):
    page = opened("owner")
    page.set("generate-prompt", "a dog")
    assert "paused" not in page.press("pause-and-draw")["generate-status"] and requests == ["a dog"]
    with pytest.raises(gr.Error, match="No training is at work"):
        page.press("preview-instead")


def test_a_preview_with_the_prompt_of_the_form_is_asked_of_the_training(opened, requests):
    page = opened("owner")
    job = job_with(page.project, *steps_to(2))
    with working(job):
        for prompt in ("a fox, 여우", " "):
            page.set("generate-prompt", prompt)
            assert "appears on the Train tab" in page.press("preview-instead")["generate-status"]
    assert [preview.prompt for preview in job.take_requested_previews()] == ["a fox, 여우", job.file.trigger.text]
    assert requests == []


def test_captioning_is_named_too_and_cannot_be_paused(opened, requests):
    page = opened("owner")
    with working(create_job(page.project, "caption", CaptionConfig())):
        answer = page.press("generate-go")
        with pytest.raises(gr.Error, match="No training is at work"):
            page.press("pause-and-draw")
    assert "being captioned" in answer["generate-status"] and not answer["pause-and-draw"]["visible"]


@pytest.mark.parametrize("button", ["pause-and-draw", "preview-instead"])
def test_a_guest_can_neither_pause_nor_ask_for_a_preview(opened, requests, button):
    page: OpenPage = opened("guest")
    job = job_with(page.project, *steps_to(2))
    with working(job), pytest.raises(gr.Error):
        page.press(button)
    assert not job.pause_requested() and job.requested_preview_files() == [] and requests == []
