"""The Caption tab alone, as the page has it."""

from collections.abc import Callable

import gradio as gr
import pytest

from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.caption import tab


@pytest.fixture
def build() -> Callable[[Studio], gr.Blocks]:
    def page(studio: Studio) -> gr.Blocks:
        with gr.Blocks() as blocks:
            tab.build(studio, gr.Textbox(elem_id="project-slug"), gr.Timer(1.0))
        return blocks

    return page
