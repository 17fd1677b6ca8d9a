"""A studio in this process, for tests of the page: no model, no network."""

from collections.abc import Callable
from pathlib import Path

import gradio as gr
import pytest
from PIL import Image

from ksh_studio.config import ProjectSettings
from ksh_studio.drawings.importing import import_drawings
from ksh_studio.generation.worker.handle import Worker
from ksh_studio.project.workspace import Project
from ksh_studio.ui.access.roles import Role
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.app import build_app
from tests.ui.open_page import OpenPage, studio_for


@pytest.fixture
def studio(workspace, no_probe) -> Studio:
    return Studio(workspace, "local", Worker(workspace))


@pytest.fixture
def build() -> Callable[[Studio], gr.Blocks]:
    """What builds the page; the tests of a tab build that tab alone, which takes less time."""
    return build_app


@pytest.fixture
def opened(workspace, no_probe, build) -> Callable[[Role], OpenPage]:
    """Open the page as somebody of this role, with a project of theirs, pinned to pocket, on it."""

    def open_page(role: Role) -> OpenPage:
        studio = studio_for(workspace, role)
        page = OpenPage(studio, role, build(studio))
        project = page.workspace.create_project(ProjectSettings(name="Mine", base_model="pocket", captioner="pocket"))
        page.set("project-slug", project.slug)
        return page

    return open_page


@pytest.fixture
def drawings(tmp_path) -> Path:
    """A folder with a red drawing, which has a caption, and a blue one, which has none."""
    folder = tmp_path / "drawings"
    folder.mkdir()
    for name in ("blue", "red"):
        Image.new("RGB", (64, 64), name).save(folder / f"{name}.png")
    (folder / "red.txt").write_text("a red square", encoding="utf-8")
    return folder


@pytest.fixture
def with_drawings(drawings) -> Callable[[Project], Project]:
    """Put both drawings into a project."""

    def fill(project: Project) -> Project:
        list(import_drawings(drawings, project))
        return project

    return fill
