"""The Caption tab alone, as the page has it."""

from collections.abc import Callable

import gradio as gr
import pytest

from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.caption import tab
from ksh_studio.ui.parts.messages import message_place


@pytest.fixture
def build() -> Callable[[Studio], gr.Blocks]:
    def page(studio: Studio) -> gr.Blocks:
        with gr.Blocks() as blocks:
            tab.build(studio, gr.Textbox(elem_id="project-slug"), gr.Timer(1.0), message_place())
        return blocks

    return page
