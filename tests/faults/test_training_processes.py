"""A training in its own process ends as one in this process does: killed and resumed, by the page or in a terminal."""

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from ksh_studio import ROOT
from ksh_studio.config import SettledTraining
from ksh_studio.generation.worker.handle import Worker
from ksh_studio.jobs.folder import job_at, jobs_of
from ksh_studio.jobs.process import run_job
from ksh_studio.jobs.requests import end_job, stop_job
from ksh_studio.jobs.spawn import COMPUTING
from ksh_studio.jobs.start import begin_job
from ksh_studio.jobs.status import job_events, job_status
from ksh_studio.models.device import DeviceInfo
from ksh_studio.training.checkpoint import load_newest
from ksh_studio.training.stage import train
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.train import actions as job_actions
from tests.faults.counting import wait_for
from tests.training.lessons import Lesson, add_drawings, is_whole, short_training

PATIENCE = 600.0
"""Seconds; a process that is still at it then fails the test."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * PATIENCE)]


@pytest.fixture
def settings(base_folder):
    return lambda **values: short_training(base_folder, **values)


@pytest.fixture
def training(project, settings):
    """Makes a training job of the project's five drawings."""
    add_drawings(project)
    return lambda **values: Lesson(project, settings(**values)).job


def wait_for_end(job):
    wait_for(lambda: (events := job_events(job)) and events[-1].kind in ("finished", "failed"), PATIENCE)
    wait_for(lambda: not job_status(job).alive, PATIENCE)


def test_a_killed_run_loses_at_most_a_checkpoint_interval_and_ends_the_same(training):
    values = {"max_train_steps": 40, "checkpointing_steps": 5, "validation_prompts": ("a girl",)}
    killed = training(**values)
    begin_job(killed)
    wait_for(lambda: any(event.kind == "checkpoint" for event in job_events(killed)), PATIENCE)
    end_job(killed)
    wait_for(lambda: not job_status(killed).alive, PATIENCE)
    assert job_status(killed).state == "ended unexpectedly"
    reached = max(event.step for event in job_events(killed) if event.kind == "step")
    saved = load_newest(killed.checkpoints)
    assert saved is not None and saved.step >= 5 and reached - saved.step <= 5 + 1
    begin_job(killed)
    wait_for_end(killed)
    assert job_status(killed).state == "finished"
    assert [event.step for event in job_events(killed) if event.kind == "step"] == list(range(1, 41))
    straight = training(**values)
    events = list(run_job(straight, lambda job: train(job.file.config(SettledTraining), job.project, job)))
    losses = [event.loss for event in events if event.kind == "step"]
    assert [event.loss for event in job_events(killed) if event.kind == "step"] == losses
    one, other = (load_file(job.loras / "ksh-000040.safetensors") for job in (killed, straight))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_training_that_is_stopped_ends_its_process_with_a_whole_state(training):
    job = training(max_train_steps=100_000, checkpointing_steps=100_000, validation_prompts=("a girl",))
    begin_job(job)
    wait_for(lambda: any(event.kind in ("step", "failed") for event in job_events(job)), PATIENCE)
    stop_job(job)
    wait_for(lambda: not job_status(job).alive, PATIENCE)
    last = job_status(job).last
    assert (last.kind, last.key) == ("stopped", "train.stopped")
    assert is_whole(job, int(last.values["step"]))


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_terminal_that_is_closed_stops_its_training_and_loses_nothing(processes, project, settings):
    import fcntl
    import pty
    import termios

    add_drawings(project)
    values = settings(max_train_steps=100_000, checkpointing_steps=100_000, num_processes=processes)
    config = values.model_dump(exclude_none=True, exclude_defaults=True)
    project.change(base_model=config.pop("base_model"))
    options = [option for name, value in config.items() for option in _option(name, value)]
    arguments = ["--workspace", str(project.workspace.root), "--project", project.slug, *options]
    terminal, its_end = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "studio.py", "train", *arguments],
        cwd=ROOT, stdin=its_end, stdout=its_end, stderr=its_end, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(its_end)
    job = wait_for(lambda: next(iter(jobs_of(project, "train")), None), PATIENCE)
    wait_for(lambda: any(event.kind in ("step", "failed") for event in job_events(job)), PATIENCE)
    os.close(terminal)
    assert child.wait(PATIENCE) == 0
    last = job_status(job).last
    assert (last.kind, last.key) == ("stopped", "train.stopped")
    assert is_whole(job, int(last.values["step"]))


@pytest.mark.slow
def test_the_page_and_the_terminal_train_the_same_lora(project, settings, monkeypatch):
    """Each process decides for itself how sums are rounded: neither takes it from the environment of the tests."""
    add_drawings(project)
    for name in COMPUTING:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("ksh_studio.ui.access.studio.probe", lambda: DeviceInfo("cpu", "CPU", 0.0, False, "2", False))
    values = settings(max_train_steps=12, validation_prompts=()).model_dump(exclude_none=True, exclude_defaults=True)
    project.change(base_model=values.pop("base_model"))
    visit = Visit(Studio(project.workspace, "local", Worker(project.workspace)), "owner", "en", project.workspace, "")
    by_page = job_at(project.jobs / job_actions.start(visit, project.slug, **values), project)
    wait_for_end(by_page)
    options = [option for name, value in values.items() for option in _option(name, value)]
    command = [sys.executable, "studio.py", "train", "--workspace", str(project.workspace.root)]
    done = subprocess.run([*command, "--project", project.slug, *options], cwd=ROOT, env=dict(os.environ), check=False)
    in_terminal = jobs_of(project, "train")[0]
    assert done.returncode == 0 and in_terminal.id != by_page.id
    assert in_terminal.file.settings == by_page.file.settings
    losses = [[event.loss for event in job_events(job) if event.kind == "step"] for job in (by_page, in_terminal)]
    assert losses[0] == losses[1] and len(losses[0]) == 12
    one, other = (load_file(job.loras / "ksh-000012.safetensors") for job in (by_page, in_terminal))
    assert all(torch.equal(one[name], other[name]) for name in one)


def _option(name, value):
    option = f"--{name.replace('_', '-')}"
    return [option] if value is True else [option, str(value)]
