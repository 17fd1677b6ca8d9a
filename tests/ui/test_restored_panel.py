"""What the page asks about a restored project, and what the answers do."""

import gradio as gr
import pytest

from ksh_studio.models.registry import registered_names
from ksh_studio.project.backup import back_up, restore
from ksh_studio.project.set_aside import MODELS, read_set_aside
from ksh_studio.ui import restored_panel
from ksh_studio.ui.restored_panel import show_restored
from tests.ui.open_page import ROLES

MODEL = "<b>stranger</b>/model"


@pytest.fixture
def build():
    def page(studio):
        with gr.Blocks() as blocks:
            slug = gr.Textbox(elem_id="project-slug")
            settings = {name: gr.Textbox(elem_id=name) for name in MODELS}
            restored_panel.build_restored_panel(studio, slug, settings)
        return blocks

    return page


@pytest.fixture
def asked(opened, tmp_path):
    """A page of this role on which a project is shown whose backup names a model from elsewhere."""

    def open_page(role):
        page = opened(role)
        page.project.change(base_model=MODEL)
        back_up(page.project, tmp_path / "b.zip")
        project = restore(tmp_path / "b.zip", page.workspace, known_models=registered_names())
        page.set("project-slug", project.slug)
        return page

    return open_page


@pytest.mark.parametrize("role", ROLES)
def test_the_owner_is_asked_in_words_and_nobody_else(asked, role):
    page = asked(role)
    shown = show_restored(page.visit(), page.project.slug)
    assert shown.row["visible"] is (role == "owner")
    if role == "owner":
        assert "&lt;b&gt;stranger&lt;/b&gt;/model" in shown.question and "unless you allow it" in shown.question
    for button in ("allow-restored", "decline-restored") if role != "owner" else ():
        with pytest.raises(gr.Error):
            page.press(button)
    assert page.project.settings().base_model is None


def test_what_is_allowed_is_used_from_then_on_and_the_question_goes(asked):
    page = asked("owner")
    assert page.press("allow-restored")["restored-panel"]["visible"] is False
    assert page.project.settings().base_model == MODEL
    assert page.value("base_model") == MODEL
    assert show_restored(page.visit(), page.project.slug).row["visible"] is False


def test_who_does_without_is_not_asked_again(asked):
    page = asked("owner")
    page.press("decline-restored")
    assert page.project.settings().base_model is None and read_set_aside(page.project).declined
    assert show_restored(page.visit(), page.project.slug).row["visible"] is False


def test_a_project_of_this_studio_asks_nothing(opened):
    page = opened("owner")
    assert show_restored(page.visit(), page.project.slug).row["visible"] is False
    assert show_restored(page.visit(), "").row["visible"] is False
