"""A project without drawings shows the steps, one with drawings does not, and captions show the way on."""

import pytest

from ksh_studio.project.catalogue import Catalogue
from ksh_studio.ui.caption.first_steps import show_first_steps
from tests.ui.open_page import ROLES


@pytest.mark.parametrize("role", ROLES)
def test_an_empty_project_shows_the_steps_to_those_who_may_bring_drawings_in(opened, role):
    page = opened(role)
    shown = show_first_steps(page.visit(), "mine")
    assert ("ksh-first-steps" in shown.steps) == (role != "guest")
    assert shown.next_stage["visible"] is False


def test_drawings_end_the_steps_and_captions_show_the_way_on(opened, with_drawings):
    page = opened("owner")
    project = with_drawings(page.project)
    shown = show_first_steps(page.visit(), "mine")
    assert shown.steps == "" and shown.next_stage["visible"] is True
    with Catalogue(project) as catalogue:
        for drawing in catalogue.drawings():
            catalogue.save_caption(drawing.id, "")
    assert show_first_steps(page.visit(), "mine").next_stage["visible"] is False


def test_drawings_that_cannot_be_read_are_not_called_none(opened):
    page = opened("owner")
    page.project.captions_db.write_bytes(b"no database" * 100)
    shown = show_first_steps(page.visit(), "mine")
    assert shown.steps == ""
