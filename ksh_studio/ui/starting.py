"""What is made ready while the page is already open: the demo's drawings, the device's name, old visitors' folders."""

import logging
import shutil
import time

from ksh_studio.demo import DRAWINGS, demo_project
from ksh_studio.drawings.importing import import_drawings
from ksh_studio.locales import Language, StudioError
from ksh_studio.ui.access import Studio
from ksh_studio.workspace import Workspace, locked

VISITOR_HOURS = 24.0
log = logging.getLogger(__name__)


def prepare(studio: Studio, language: Language) -> None:
    """Import the demo's drawings, find the device, drop visitors' folders that nobody has used for a day."""
    try:
        with_demo(studio.workspace, language)
        studio.device()
        clean_visitors(studio.workspace)
    except StudioError:
        log.exception("the demo could not be made ready")


def with_demo(workspace: Workspace, language: Language) -> None:
    """Make the demo project and bring its drawings in, where that has not been done."""
    project = demo_project(workspace, language)
    if any(project.drawings.glob("*.webp")) or not DRAWINGS.is_dir():
        return
    with locked(workspace.root / "demo-drawings.lock", "job.starting"):
        for _ in import_drawings(DRAWINGS, project):
            pass


def clean_visitors(workspace: Workspace, hours: float = VISITOR_HOURS) -> list[str]:
    """Delete the workspaces of visitors who have not been seen for `hours`; returns their folder names."""
    gone = []
    for folder in workspace.visitors.glob("*/"):
        seen = max((path.stat().st_mtime for path in (folder, folder / "seen") if path.exists()), default=0.0)
        if time.time() - seen > hours * 3600:
            shutil.rmtree(folder, ignore_errors=True)
            gone.append(folder.name)
    return gone
