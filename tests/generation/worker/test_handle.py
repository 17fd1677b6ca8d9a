"""The page's handle of the drawing process, with a process that only talks."""

import subprocess
import sys
import threading

import pytest

from ksh_studio.config import GenerateConfig
from ksh_studio.generation.worker import handle as module
from ksh_studio.generation.worker.handle import Worker
from ksh_studio.jobs import tokens
from ksh_studio.models.registry import ANYTHING

TALKS = """
import os, sys, threading
from ksh_studio.events import Progress, to_line
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
while True:
    os.write(1, to_line(Progress(phase="denoise", done=1, total=2)) * 20)
"""


def test_ending_the_process_under_a_picture_is_told_to_whoever_waits_for_it(project, monkeypatch):
    monkeypatch.setattr(
        module,
        "spawn",
        lambda _, extra_environment, **streams: subprocess.Popen([sys.executable, "-c", TALKS], **streams),
    )
    worker = Worker(project.workspace)
    events = worker.generate(GenerateConfig(prompt="a girl"), project)
    next(events)
    ending = threading.Thread(target=worker.end)
    ending.start()
    heard = list(events)
    ending.join()
    assert heard[-1].key == "device.worker_died"
    assert not worker.running and not worker.busy


ANSWERS = """
import sys
from ksh_studio.events import Finished, to_line
for line in sys.stdin:
    sys.stdout.buffer.write(to_line(Finished(key="generate.finished")))
    sys.stdout.flush()
"""


@pytest.fixture
def begun(monkeypatch):
    """The processes that are begun, each with the environment that it got beyond the usual, and answers at once."""
    processes = []

    def spawn(_, extra_environment, **streams):
        processes.append((subprocess.Popen([sys.executable, "-c", ANSWERS], **streams), extra_environment))
        return processes[-1][0]

    monkeypatch.setattr(module, "spawn", spawn)
    return processes


def test_only_a_process_that_downloads_gets_the_token_of_the_hub(project, begun, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "canary")
    monkeypatch.setattr(tokens, "needs_download", lambda entry: entry.source_type == "hub")
    worker = Worker(project.workspace)
    for base in ("pocket", ANYTHING.name, ANYTHING.name, "pocket"):
        list(worker.generate(GenerateConfig(prompt="a girl", base_model=base), project))
    assert [environment for _, environment in begun] == [{}, {"HF_TOKEN": "canary"}]
    worker.end()


def test_another_attention_is_another_process_because_it_is_decided_once(project, begun):
    worker = Worker(project.workspace)
    for attention in ("sdpa", "sdpa", "xformers"):
        [last] = worker.generate(GenerateConfig(prompt="a girl", attention=attention), project)
        assert last.kind == "finished"
    assert [process.poll() is None for process, _ in begun] == [False, True]
    worker.end()
