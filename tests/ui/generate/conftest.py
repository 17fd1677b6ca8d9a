"""The Generate tab alone, as the page has it, and pictures that were drawn before."""

from collections.abc import Callable
from pathlib import Path

import gradio as gr
import pytest
from PIL import Image

from ksh_studio.config import GenerateConfig
from ksh_studio.generation.pictures.gallery import add_picture
from ksh_studio.generation.pictures.recipe import RecipeDetails, to_png
from ksh_studio.generation.request import settle
from ksh_studio.models.registry import base_entry
from ksh_studio.project.workspace import Project
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.generate import tab


@pytest.fixture
def build() -> Callable[[Studio], gr.Blocks]:
    def page(studio: Studio) -> gr.Blocks:
        with gr.Blocks() as blocks:
            tab.build(studio, gr.Textbox(elem_id="project-slug"))
        return blocks

    return page


@pytest.fixture
def drawn() -> Callable[..., Path]:
    """Put a picture with the recipe of these settings into a project, as if it had been generated."""

    def add(project: Project, seed: int = 7, **settings: object) -> Path:
        request = settle(GenerateConfig(seed=seed, **settings), base_entry("pocket"))
        png = to_png(Image.new("RGB", (64, 64), "red"), request, seed, RecipeDetails("pocket", "0" * 64, {}))
        return add_picture(project, png, seed)

    return add
