"""Handlers of the Generate tab, called as the guard calls them."""

import pytest

from ksh_studio.locales import StudioError
from ksh_studio.ui import app
from ksh_studio.ui.access import Studio, Visit
from ksh_studio.ui.generate_tab import _wanted
from ksh_studio.worker import Worker


@pytest.fixture
def guest(workspace, no_probe) -> Visit:
    studio = Studio(workspace, "share", Worker(workspace), (("owner", "x"), ("guest", "y")))
    return Visit(studio, "guest", "en", workspace, "guest:a")


def test_using_a_lora_keeps_the_prompt_that_was_typed(guest, project, monkeypatch):
    monkeypatch.setattr(app, "newest_lora", lambda *_: "projects/x/jobs/y/loras/z.safetensors")
    style = "drawn by KSH drawing style"
    assert app.use_lora(guest, project.slug, "", "")[1] == style
    assert app.use_lora(guest, project.slug, "", "1girl, (smile : 1.2)")[1] == f"1girl, (smile : 1.2), {style}"
    assert app.use_lora(guest, project.slug, "", f"({style} : 1.5), a girl")[1] == f"({style} : 1.5), a girl"


def test_a_guest_draws_with_the_model_the_owner_chose_and_names_none(guest, project):
    project.change(base_model="/home/artist/models/mine")
    assert _wanted(guest, project, {"prompt": "a girl"}).base_model == "/home/artist/models/mine"
    with pytest.raises(StudioError, match="link"):
        _wanted(guest, project, {"prompt": "a girl", "base_model": "/home/artist/models/mine"})
