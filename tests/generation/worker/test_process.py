"""The resident process: lines in, events out, the model stays; interrupts end the right request."""

import io
import json
import threading
import time

import pytest

from ksh_studio.config import GenerateConfig
from ksh_studio.events import Failed, Final, Finished, Picture, Progress, Stopped, from_line
from ksh_studio.generation import loaded as loaded_module
from ksh_studio.generation.pictures.gallery import pictures_of
from ksh_studio.generation.worker.handle import Worker
from ksh_studio.generation.worker.process import serve


class Lines:
    """What comes in: given lines, then lines that the test adds, until it closes."""

    def __init__(self):
        self.found, self.ready, self.closed = [], threading.Condition(), False

    def say(self, **values):
        with self.ready:
            self.found.append(json.dumps(values).encode() + b"\n")
            self.ready.notify()

    def close(self):
        with self.ready:
            self.closed = True
            self.ready.notify()

    def __iter__(self):
        while True:
            with self.ready:
                self.ready.wait_for(lambda: self.found or self.closed)
                if not self.found:
                    return
                line = self.found.pop(0)
            yield line


class Heard(io.BytesIO):
    """What goes out: an event a write; the test may act on one."""

    def __init__(self, on_event=lambda event: None):
        super().__init__()
        self.events, self.on_event = [], on_event

    def write(self, line):
        event = from_line(line)
        assert event is not None
        self.events.append(event)
        self.on_event(event)
        return len(line)


def request(project, **changes):
    config = GenerateConfig(prompt="a fox", num_inference_steps=3, seed=7, **changes)
    return {"project": project.slug, "config": config.model_dump(mode="json")}


def test_two_requests_load_the_model_once_and_end_with_one_final_event_each(tiny_project, monkeypatch):
    loads = []
    load_base = loaded_module.load_base
    monkeypatch.setattr(loaded_module, "load_base", lambda *a, **k: loads.append(1) or load_base(*a, **k))
    lines, finals = Lines(), []

    def on_event(event):
        if isinstance(event, Final):
            finals.append(event)
            if len(finals) == 2:
                lines.close()

    heard = Heard(on_event)
    lines.say(**request(tiny_project))
    lines.say(**request(tiny_project))
    serve(lines, heard, tiny_project.workspace)
    assert [type(event) for event in finals] == [Finished, Finished]
    assert sum(isinstance(event, Picture) for event in heard.events) == 2
    assert loads == [1]


def test_an_interrupt_ends_what_was_asked_before_it_and_nothing_after(tiny_project):
    lines, finals = Lines(), []

    def on_event(event):
        if isinstance(event, Progress) and event.phase == "denoise" and not finals and event.done == 1:
            lines.say(interrupt=True)
            lines.say(**request(tiny_project))
            time.sleep(0.2)  # the reading thread has seen both
        if isinstance(event, Final):
            finals.append(event)
            if len(finals) == 2:
                lines.close()

    lines.say(**request(tiny_project))
    serve(lines, Heard(on_event), tiny_project.workspace)
    assert [type(event) for event in finals] == [Stopped, Finished]
    assert len(pictures_of(tiny_project)) == 1


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (b"no json\n", "project.unknown"),
        (b"[1]\n", "project.unknown"),
        (b"{}\n", "project.unknown"),
        (b'{"project": "../.."}\n', "project.unknown"),
        (b'{"project": "SLUG", "config": {"width": -8}}\n', "settings.at_least"),
        (b'{"project": "SLUG", "config": {"steps": 1}}\n', "settings.unknown"),
        (b'{"project": "SLUG", "config": {"prompt": "LONG"}}\n', "settings.too_long"),
        (b'{"project": "SLUG", "config": {"guidance_scale": NaN}}\n', "settings.number"),
    ],
)
def test_a_bad_line_is_a_failed_request_and_the_process_lives(tiny_project, line, key):
    line = line.replace(b"SLUG", tiny_project.slug.encode()).replace(b"LONG", b"x" * 20_001)
    heard = Heard()
    serve(io.BytesIO(line + line), heard, tiny_project.workspace)
    assert [event.key for event in heard.events] == [key, key]


def test_an_error_nobody_expected_fails_the_request_and_not_the_process(tiny_project, monkeypatch, capfd):
    def broken(*arguments):
        raise ZeroDivisionError("unexpected")
        yield

    monkeypatch.setattr("ksh_studio.generation.worker.process.generate", broken)
    heard = Heard()
    line = json.dumps(request(tiny_project)).encode() + b"\n"
    serve(io.BytesIO(line + line), heard, tiny_project.workspace)
    assert [event.key for event in heard.events] == ["generate.crashed"] * 2
    assert "ZeroDivisionError: unexpected" in capfd.readouterr().err


def test_the_pages_handle_draws_through_the_real_process_without_a_word_of_noise(tiny_project):
    worker = Worker(tiny_project.workspace)
    try:
        for _ in range(2):
            events = list(worker.generate(GenerateConfig(prompt="a fox", num_inference_steps=2, seed=7), tiny_project))
            assert isinstance(events[-1], Finished)
        events = list(worker.generate(GenerateConfig(base_model="x.ckpt"), tiny_project))
        assert isinstance(events[-1], Failed)
    finally:
        worker.end()
    assert len(pictures_of(tiny_project)) == 2
    assert worker.log.read_text() == ""
