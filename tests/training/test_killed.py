"""A training in its own process ends as one in this process does: killed and resumed, by the page or in a terminal."""

import os
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from ksh_studio import ROOT
from ksh_studio.config import SettledTraining
from ksh_studio.generation.worker.handle import Worker
from ksh_studio.jobs.folder import job_at, jobs_of
from ksh_studio.jobs.process import run_job
from ksh_studio.jobs.requests import end_job
from ksh_studio.jobs.spawn import COMPUTING
from ksh_studio.jobs.start import begin_job
from ksh_studio.jobs.status import job_events, job_status
from ksh_studio.models.device import DeviceInfo
from ksh_studio.training.checkpoint import load_newest
from ksh_studio.training.stage import train
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.train import actions as train_control

SECONDS = 120


def wait(job, done):
    """Until `done(events)`; a process that is slower than two minutes fails the test."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if done(job_events(job)):
            return
        time.sleep(0.05)
    raise AssertionError(job_status(job))


def test_a_killed_run_loses_at_most_a_checkpoint_interval_and_ends_the_same(lesson, monkeypatch):
    monkeypatch.undo()  # the child reads the registry itself
    settings = {"max_train_steps": 40, "checkpointing_steps": 5, "validation_prompts": ("a girl",)}
    killed = lesson(**settings).job
    begin_job(killed)
    wait(killed, lambda events: any(event.kind == "checkpoint" for event in events))
    end_job(killed)
    while job_status(killed).alive:
        time.sleep(0.05)
    assert job_status(killed).state == "ended unexpectedly"
    reached = max(event.step for event in job_events(killed) if event.kind == "step")
    saved = load_newest(killed.checkpoints)
    assert saved is not None and saved.step >= 5 and reached - saved.step <= 5 + 1
    begin_job(killed)
    wait(killed, lambda events: events[-1].kind in ("finished", "failed"))
    while job_status(killed).alive:
        time.sleep(0.05)
    assert job_status(killed).state == "finished"
    assert [event.step for event in job_events(killed) if event.kind == "step"] == list(range(1, 41))
    straight = lesson(**settings).job
    told = list(run_job(straight, lambda job: train(job.file.config(SettledTraining), job.project, job)))
    losses = [event.loss for event in told if event.kind == "step"]
    assert [event.loss for event in job_events(killed) if event.kind == "step"] == losses
    one, other = (load_file(job.loras / "ksh-000040.safetensors") for job in (killed, straight))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_the_page_and_the_terminal_train_the_same_lora(project, drawings, settings, monkeypatch):
    """Each process decides for itself how sums are rounded: neither is told by the tests' own environment."""
    monkeypatch.undo()  # the processes read the registry themselves
    for name in COMPUTING:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("ksh_studio.ui.access.studio.probe", lambda: DeviceInfo("cpu", "CPU", 0.0, False, "2", False))
    values = settings(max_train_steps=12, validation_prompts=()).model_dump(exclude_none=True, exclude_defaults=True)
    project.change(base_model=values.pop("base_model"))
    visit = Visit(Studio(project.workspace, "local", Worker(project.workspace)), "owner", "en", project.workspace, "")
    by_page = job_at(project.jobs / train_control.train(visit, project.slug, **values), project)
    wait(by_page, lambda events: events and events[-1].kind in ("finished", "failed"))
    while job_status(by_page).alive:
        time.sleep(0.05)
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
