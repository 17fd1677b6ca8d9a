"""Several processes, started by Accelerate's launcher on the CPU, learn what one does with as many times the batch."""

import os
import socket
import subprocess
import sys
import time

import psutil
import pytest
import torch
from safetensors.torch import load_file

from ksh_studio.config import SettledTraining
from ksh_studio.errors import StudioError
from ksh_studio.jobs.requests import end_job
from ksh_studio.jobs.start import begin_job
from ksh_studio.jobs.status import job_events, job_status
from ksh_studio.training.plan.settle import per_step
from ksh_studio.training.processes import launch as launching
from ksh_studio.training.processes.group import ALONE

SECONDS = 600
pytestmark = pytest.mark.timeout(3 * SECONDS)
SETTINGS = {"learning_rate": 1e-3, "validation_steps": 1000, "checkpointing_steps": 1000}


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_of_twice_the_batch(lesson, monkeypatch):
    """Also when they are stopped together on the way and go on."""
    monkeypatch.undo()  # the processes read the registry themselves
    alone = lesson(max_train_steps=50, train_batch_size=4, **SETTINGS)
    alone.run()
    both = lesson(max_train_steps=50, train_batch_size=2, num_processes=2, **SETTINGS)
    assert per_step(both.job.file.config(SettledTraining)) == per_step(alone.job.file.config(SettledTraining)) == 4
    stopped = both.run(stop_after=10)[-1]
    assert stopped.kind == "stopped" and 10 <= int(stopped.values["step"]) < 50
    again = both.run()
    assert [event.step for event in again if event.kind == "resumed"] == [int(stopped.values["step"])]
    assert again[-1].kind == "finished" and again[-1].figures["images_seen"] == 200
    losses = [[event.loss for event in made.of("step")] for made in (alone, both)]
    assert len(losses[0]) == len(losses[1]) == 50
    worst = max(abs(a - b) / a for a, b in zip(*losses, strict=True))
    assert worst <= 1e-4
    assert len(set(losses[0])) > 40
    one, other = (load_file(made.project.root / made.of("lora")[-1].path) for made in (alone, both))
    assert all(torch.allclose(one[name].float(), other[name].float(), atol=1e-3) for name in one)


@pytest.mark.slow
def test_a_process_that_dies_ends_all_of_them_with_a_sentence(lesson, monkeypatch):
    monkeypatch.undo()
    job = lesson(max_train_steps=100_000, num_processes=2, **SETTINGS).job
    begin_job(job)
    _wait(lambda: any(event.kind == "step" for event in job_events(job)))
    ranks = {one.environ()["RANK"]: one for one in psutil.process_iter() if _works_on(one, job)}
    assert set(ranks) == {"0", "1"}
    ranks["1"].kill()
    _wait(lambda: not job_status(job).alive)
    last = job_status(job).last
    assert job_status(job).state == "failed" and last.key == "distributed.worker_died" and "2" in last.text()
    _wait(lambda: not any(_works_on(one, job) for one in psutil.process_iter()))


def test_processes_end_when_the_job_is_killed(lesson, monkeypatch):
    monkeypatch.undo()
    job = lesson(max_train_steps=100_000, num_processes=2, **SETTINGS).job
    begin_job(job)
    _wait(lambda: sum(_works_on(one, job) for one in psutil.process_iter()) == 2)
    end_job(job)
    _wait(lambda: not any(_works_on(one, job) for one in psutil.process_iter()))


def _works_on(process, job):
    """Whether it is one of the job's training processes; the launcher itself has no rank."""
    try:
        return str(job.folder) in process.cmdline() and "RANK" in process.environ()
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return False


def _wait(done):
    deadline = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_more_processes_than_gpus_name_the_command_for_several_machines(lesson, monkeypatch):
    monkeypatch.setattr(launching, "pick_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    job = lesson(num_processes=4).job
    with pytest.raises(StudioError) as caught:
        next(launching.launch(job, 4))
    assert caught.value.sentence.key == "distributed.too_many" and caught.value.sentence.values["there"] == "2"
    command = caught.value.sentence.values["command"]
    assert "--num_machines 2 --machine_rank R --num_processes 4" in command and str(job.folder) in command


TWO = """
import torch
from ksh_studio.errors import StudioError
from ksh_studio.training.processes.group import join

group = join(2, torch.device("cpu"))
rank = group.rank
first, second = torch.full((2, 2), float(rank)), torch.tensor(10.0 * rank)
group.average([first, second])
assert first.tolist() == [[0.5, 0.5], [0.5, 0.5]] and second.item() == 5.0
assert group.agree(7 + rank) == 7 and group.is_main == (rank == 0)
group.check(2**48 - 1)
with group.main_first():
    pass
try:
    group.check(rank)
    print("alike")
except StudioError as error:
    print(error.sentence.key)
"""


def test_processes_average_agree_and_see_that_they_are_alike():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    both = [subprocess.Popen([sys.executable, "-c", TWO], env=env, stdout=subprocess.PIPE, text=True) for env in ranks]
    assert [one.communicate(timeout=SECONDS)[0].strip() for one in both] == ["distributed.not_alike"] * 2


def test_one_process_agrees_with_itself():
    gradients = [torch.ones(3), torch.zeros(())]
    ALONE.average(gradients)
    ALONE.check(7)
    assert ALONE.is_main and ALONE.agree(5) == 5 and gradients[0].tolist() == [1, 1, 1]
