"""Generate and Stop, as each role may press them, with a worker that only says what it was told to say."""

import gradio as gr
import pytest

from ksh_studio.config import GenerateConfig
from ksh_studio.errors import StudioError
from ksh_studio.events import Failed, Finished, Picture, Progress, Started, Stopped, Warned
from ksh_studio.generation.worker.handle import Worker
from ksh_studio.ui.generate.generating import request_config
from tests.tiny import tiny_lora_file
from tests.ui.open_page import ROLES, OpenPage


@pytest.fixture
def worker(monkeypatch):
    """What the worker was asked for; it answers with `worker.events`."""

    class Asked(list):
        events = [Finished.saying("generate.finished", count=1, seconds=2)]
        interrupts = 0

    asked = Asked()

    def generate(worker, config, project):
        asked.append((config, project))
        yield from asked.events

    def interrupt(worker):
        asked.interrupts += 1

    monkeypatch.setattr(Worker, "generate", generate)
    monkeypatch.setattr(Worker, "interrupt", interrupt)
    return asked


@pytest.mark.parametrize("role", ROLES)
def test_everybody_generates_with_the_settings_of_the_form_and_the_projects_model(opened, worker, role):
    page = opened(role)
    page.set("generate-prompt", "a cat")
    page.set("generate-num-inference-steps", "9")
    page.press("generate-go")
    [(config, project)] = worker
    assert config == GenerateConfig(prompt="a cat", num_inference_steps=9, base_model="pocket")
    assert project.slug == "mine" and project.workspace.root == page.workspace.root


def test_the_state_follows_the_picture_and_the_gallery_is_made_anew_once_it_is_on_disk(opened, worker, drawn):
    page = opened("owner")
    path = drawn(page.project).relative_to(page.project.pictures).as_posix()
    worker.events = [
        Started(stage="generate", total=1),
        Progress(phase="denoise", done=3, total=4),
        Picture(path=f"pictures/{path}", seed=7, index=0, total=1),
        Finished.saying("generate.finished", count=1, seconds=2),
    ]
    starting, step, picture, finished = page.stream("generate-go")
    assert "Starting" in starting["generate-status"] and "width:75.0%" in step["generate-status"]
    assert "seed 7" in picture["generate-status"] and f'data-pick="{path}"' in picture["generate-gallery"]
    assert all("generate-gallery" not in update for update in (starting, step, finished))
    assert "ksh-good" in finished["generate-status"]


def test_warnings_stay_under_the_state_but_not_the_hint_that_stands_under_the_prompt(opened, worker):
    page = opened("owner")
    page.set("generate-prompt", "고양이")
    other = Warned.saying("models.downloading", name="x")
    worker.events = [Warned.saying("prompt.korean"), other, Stopped.saying("generate.stopped", done=1, total=2)]
    page.press("generate-go")
    status = page.value("generate-status")
    assert status.count("ksh-warn") == 1 and other.text("en")[:20] in status


def test_a_failure_is_shown_and_one_of_the_request_is_raised(opened, worker, monkeypatch):
    page = opened("owner")
    worker.events = [Failed.saying("device.worker_died", log="x")]
    page.press("generate-go")
    assert "ksh-bad" in page.value("generate-status")

    def busy(worker, config, project):
        raise StudioError("device.drawing")
        yield

    monkeypatch.setattr(Worker, "generate", busy)
    with pytest.raises(gr.Error, match="already being drawn"):
        page.press("generate-go")
    assert page.value("generate-status") == ""


@pytest.mark.parametrize(
    ("part", "value", "sentence"),
    [
        ("generate-guidance-scale", "99", "CFG scale"),
        ("generate-lora", "loras/none.safetensors", "none.safetensors"),
        ("generate-schedule", "Karras", "DDIM"),
    ],
)
def test_what_cannot_be_drawn_is_named_and_nothing_is_asked_of_the_worker(opened, worker, part, value, sentence):
    page = opened("owner")
    if sentence == "DDIM":
        page.set("generate-sampler", "DDIM")
    page.set(part, value)
    with pytest.raises(gr.Error, match=sentence):
        page.press("generate-go")
    assert worker == []


@pytest.mark.parametrize("role", ROLES)
def test_the_loras_of_the_menu_are_for_everybody_and_other_files_for_the_owner(opened, worker, role):
    page = opened(role)
    tiny_lora_file(page.workspace.loras / "ink.safetensors")
    hidden = tiny_lora_file(page.project.root / "hidden.safetensors").relative_to(page.workspace.root).as_posix()
    page.set("generate-lora", "loras/ink.safetensors")
    page.press("generate-go")
    page.set("generate-lora", hidden)
    if role == "owner":
        page.press("generate-go")
    else:
        with pytest.raises(gr.Error, match="hidden"):
            page.press("generate-go")
    assert len(worker) == (2 if role == "owner" else 1)


@pytest.mark.parametrize(("role", "sentence"), [("guest", "share link"), ("visitor", "shared Space")])
def test_others_draw_with_the_model_the_owner_chose_and_name_none(opened, role, sentence):
    page = opened(role)
    page.project.change(base_model="/home/artist/models/mine")
    visit = page.visit()
    assert request_config(visit, page.project, {"prompt": "a"}).base_model == "/home/artist/models/mine"
    with pytest.raises(StudioError, match=sentence):
        request_config(visit, page.project, {"prompt": "a", "base_model": "/home/artist/models/mine"})


@pytest.mark.parametrize("role", ROLES)
def test_everybody_stops_their_own_picture(opened, worker, role):
    page = opened(role)
    page.press("generate-go")
    page.press("generate-stop")
    assert worker.interrupts == 1


@pytest.mark.parametrize("role", ["guest", "visitor"])
def test_nobody_stops_the_picture_of_somebody_else(opened, worker, role):
    page = opened(role)
    other = OpenPage(page.studio, role, page.blocks, secret="b" * 43)
    page.press("generate-go")
    with pytest.raises(gr.Error, match="Somebody else"):
        other.press("generate-stop")
    assert worker.interrupts == 0


def test_the_owner_stops_anybodys_picture(opened, worker):
    page = opened("owner")
    page.studio.turn.key = "somebody else"
    page.press("generate-stop")
    assert worker.interrupts == 1
