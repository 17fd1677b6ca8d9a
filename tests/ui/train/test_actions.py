"""The buttons of the Train tab, pressed on the built page by every role."""

import gradio as gr
import pytest

from ksh_studio.jobs.folder import jobs_of
from ksh_studio.jobs.queue import queued_jobs
from ksh_studio.ui.train import actions
from tests.jobs.written_jobs import job_with, step

OF_A_JOB = {"train-pause": "pause_job", "train-resume": "begin_job", "train-stop": "stop_job", "train-end": "end_job"}
OTHERS = ("guest", "visitor")


@pytest.fixture
def requests(monkeypatch):
    """What is asked of the jobs, as (function, job); nothing is really started."""
    requests = []
    for name in OF_A_JOB.values():
        monkeypatch.setattr(actions, name, lambda job, name=name: requests.append((name, job.id)))
    monkeypatch.setattr(gr, "Info", lambda *_, **__: None)
    return requests


@pytest.mark.parametrize("button", OF_A_JOB)
def test_each_button_of_a_job_asks_for_its_own_action(opened, requests, button):
    page = opened("owner")
    job = job_with(page.project, step(1))
    page.press(button)
    assert requests == [(OF_A_JOB[button], job.id)]


@pytest.mark.parametrize("role", OTHERS)
def test_nobody_but_the_owner_works_on_trainings(opened, requests, with_drawings, role):
    page = opened(role)
    job = job_with(with_drawings(page.project), step(1))
    buttons = [*OF_A_JOB, "train-start", "train-add-to-queue", "train-check", "train-preview-now", "train-on",
               "train-merge", "publish-list", "publish-send", "train-open-folder"]  # fmt: skip
    for button in buttons:
        with pytest.raises(gr.Error):
            page.press(button)
    with pytest.raises(gr.Error):
        page.press("train-queue", "select", f"{page.project.slug}/{job.id}")
    assert requests == [] and jobs_of(page.project) == [job] and not job.take_requested_previews()


@pytest.mark.parametrize("role", OTHERS)
def test_everybody_sees_how_the_training_goes_and_only_the_owner_its_buttons(opened, role):
    page = opened(role)
    job_with(page.project, step(1), step(2))
    display = page.tick()
    assert "polyline" in display["train-chart"]
    for button in (*OF_A_JOB, "train-start", "train-new", "train-more"):
        assert display[button]["visible"] is False


def test_the_owner_queues_a_training_and_takes_it_out_again(opened, with_drawings):
    page = opened("owner")
    with_drawings(page.project)
    page.press("train-add-to-queue")
    [job] = queued_jobs(page.workspace)
    assert job.id in page.tick()["train-queue"]
    page.press("train-queue", "select", f"{page.project.slug}/{job.id}")
    assert queued_jobs(page.workspace) == []


def test_a_tick_sends_nothing_that_the_page_shows_already(opened):
    page = opened("owner")
    job_with(page.project, step(1), step(2))
    assert "train-chart" in page.tick()
    assert page.tick() == {}
