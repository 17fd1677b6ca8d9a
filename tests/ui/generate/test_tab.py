"""Handlers of the Generate tab, called as the guard calls them."""

import pytest
from PIL import Image

from ksh_studio.drawings.importing import import_drawings
from ksh_studio.errors import StudioError
from ksh_studio.generation.worker.handle import Worker
from ksh_studio.ui import app
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.generate.tab import _wanted, ready_to_go
from tests.tiny import tiny_lora_file


@pytest.fixture
def guest(workspace, no_probe) -> Visit:
    studio = Studio(workspace, "share", Worker(workspace), (("owner", "x"), ("guest", "y")))
    return Visit(studio, "guest", "en", workspace, "guest:a")


def test_using_a_lora_keeps_the_prompt_that_was_typed(guest, project, monkeypatch):
    monkeypatch.setattr(app, "lora_of", lambda *_: "projects/x/jobs/y/loras/z.safetensors")
    style = "drawn by KSH drawing style"
    assert app.use_lora(guest, project.slug, "", "").prompt == style
    assert app.use_lora(guest, project.slug, "", "1girl, (smile : 1.2)").prompt == f"1girl, (smile : 1.2), {style}"
    assert app.use_lora(guest, project.slug, "", f"({style} : 1.5), a girl").prompt == f"({style} : 1.5), a girl"


def test_a_guest_draws_with_the_model_the_owner_chose_and_names_none(guest, project):
    project.change(base_model="/home/artist/models/mine")
    assert _wanted(guest, project, {"prompt": "a girl"}).base_model == "/home/artist/models/mine"
    with pytest.raises(StudioError, match="link"):
        _wanted(guest, project, {"prompt": "a girl", "base_model": "/home/artist/models/mine"})


def test_one_click_draws_the_newest_style_with_a_prompt_of_the_project(guest, project, tmp_path):
    assert ready_to_go(guest, project.slug) == ["drawn by KSH drawing style", ""]
    folder = tmp_path / "drawings"
    folder.mkdir()
    Image.new("RGB", (64, 64), "red").save(folder / "a.png")
    (folder / "a.txt").write_text("a red square", encoding="utf-8")
    list(import_drawings(folder, project))
    made = project.jobs / "one" / "loras"
    made.mkdir(parents=True)
    tiny_lora_file(made / "ink-000500.safetensors")
    prompt, lora = ready_to_go(guest, project.slug)
    assert prompt == "a red square drawn by KSH drawing style"
    assert lora == f"projects/{project.slug}/jobs/one/loras/ink-000500.safetensors"
