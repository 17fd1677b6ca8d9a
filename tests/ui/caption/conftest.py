"""The Caption tab alone, as the page has it."""

from collections.abc import Callable

import gradio as gr
import pytest

from ksh_studio.jobs.folder import Job
from ksh_studio.jobs.process import run_job
from ksh_studio.stages import stage_events
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.caption import tab
from ksh_studio.ui.parts.messages import message_place


@pytest.fixture
def at_once(monkeypatch) -> None:
    """Jobs that the page begins are done in this process before it answers."""

    def begin(job: Job) -> None:
        list(run_job(job, stage_events))

    monkeypatch.setattr("ksh_studio.ui.caption.import_panel.begin_job", begin)
    monkeypatch.setattr("ksh_studio.jobs.start.begin_job", begin)


@pytest.fixture
def build() -> Callable[[Studio], gr.Blocks]:
    def page(studio: Studio) -> gr.Blocks:
        with gr.Blocks() as blocks:
            tab.build(studio, gr.Textbox(elem_id="project-slug"), gr.HTML(), message_place())
        return blocks

    return page
