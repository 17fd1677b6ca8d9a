"""What is made ready while the page is already open: the demo's drawings, the device's name, old visitors' folders."""

import logging
import time

from ksh_studio.demo import DRAWINGS, demo_project
from ksh_studio.disk import locked
from ksh_studio.drawings.importing import import_drawings
from ksh_studio.errors import StudioError
from ksh_studio.locales import Language
from ksh_studio.project.workspace import Workspace
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visitors import clean_visitors

CLEANING_SECONDS = 3600.0
log = logging.getLogger(__name__)


def prepare(studio: Studio, language: Language) -> None:
    """Import the demo's drawings and find the device; on a Space, drop what visitors of yesterday left, every hour."""
    try:
        with_demo(studio.workspace, language)
        studio.device()
    except StudioError:
        log.exception("the demo could not be made ready")
    while studio.mode == "space":
        clean_visitors(studio.workspace)
        time.sleep(CLEANING_SECONDS)


def with_demo(workspace: Workspace, language: Language) -> None:
    """Make the demo project and bring its drawings in, where that has not been done."""
    project = demo_project(workspace, language)
    if any(project.drawings.glob("*.webp")) or not DRAWINGS.is_dir():
        return
    with locked(workspace.root / "demo-drawings.lock", "job.starting"):
        for _ in import_drawings(DRAWINGS, project):
            pass
