"""A tick that fails says so in the place of the tab's state, once, and is well again afterwards."""

import errno
import logging

import gradio as gr
import pytest

from ksh_studio.disk import Busy
from ksh_studio.ui.access.updates import errors_in_place
from ksh_studio.ui.parts.outputs import UNCHANGED, News
from tests.ui.open_page import OpenPage, studio_for

ERRORS = {
    "a refusal": (Busy("import.busy"), "already being imported"),
    "a closed disk": (OSError(errno.EROFS, "Read-only file system", "/x"), "/x may not be written"),
    "a mistake of ours": (ZeroDivisionError(), "Something went wrong"),
}


@pytest.fixture
def visit(workspace, no_probe):
    with gr.Blocks() as blocks:
        gr.Textbox(elem_id="project-slug")
    return OpenPage(studio_for(workspace, "owner"), "owner", blocks).visit()


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_shown_once_and_logged_only_when_it_is_ours(visit, case, caplog):
    error, sentence = ERRORS[case]
    outcomes = iter([error, error, None])

    def poll(visit, slug, seen):
        if (outcome := next(outcomes)) is not None:
            raise outcome
        return News({"": "well"}, {"status": "well again"})

    watched = errors_in_place(poll, lambda note: {"status": note})
    with caplog.at_level(logging.ERROR):
        first = watched(visit, "mine", {"": "before", "display.status": "x"})
        assert sentence in first.display["status"] and "ksh-bad" in first.display["status"]
        assert watched(visit, "mine", first.seen) is UNCHANGED
    assert len(caplog.records) == (1 if case == "a mistake of ours" else 0)
    assert watched(visit, "mine", first.seen).display == {"status": "well again"}
