"""A training in its own process, killed without warning, goes on in another and ends as if nothing had happened."""

import time

import torch
from safetensors.torch import load_file

from ksh_studio import job_process, jobs
from ksh_studio.training.checkpoint import load_newest
from ksh_studio.training.trainer import train

SECONDS = 120


def wait(job, done):
    """Until `done(events)`; a process that is slower than two minutes fails the test."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if done(jobs.events(job)):
            return
        time.sleep(0.05)
    raise AssertionError(jobs.status(job))


def test_a_killed_run_loses_at_most_a_checkpoint_interval_and_ends_the_same(lesson, monkeypatch):
    monkeypatch.undo()  # the child reads the registry itself
    settings = {"max_train_steps": 40, "checkpointing_steps": 5, "validation_prompts": ("a girl",)}
    killed = lesson(**settings).job
    jobs.begin(killed)
    wait(killed, lambda events: any(event.kind == "checkpoint" for event in events))
    jobs.kill(killed)
    while jobs.status(killed).alive:
        time.sleep(0.05)
    assert jobs.status(killed).state == "ended unexpectedly"
    reached = max(event.step for event in jobs.events(killed) if event.kind == "step")
    saved = load_newest(killed.checkpoints)
    assert saved is not None and saved.step >= 5 and reached - saved.step <= 5 + 1
    jobs.begin(killed)
    wait(killed, lambda events: events[-1].kind in ("finished", "failed"))
    while jobs.status(killed).alive:
        time.sleep(0.05)
    assert jobs.status(killed).state == "finished"
    assert [event.step for event in jobs.events(killed) if event.kind == "step"] == list(range(1, 41))
    straight = lesson(**settings).job
    told = list(job_process.run(straight, lambda job: train(job.file.config(), job.project, job)))
    losses = [event.loss for event in told if event.kind == "step"]
    assert [event.loss for event in jobs.events(killed) if event.kind == "step"] == losses
    one, other = (load_file(job.loras / "ksh-000040.safetensors") for job in (killed, straight))
    assert all(torch.equal(one[name], other[name]) for name in one)
