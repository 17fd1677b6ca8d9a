"""Finishes the start of the studio while the page is open already: the demo, the device, old visitors' folders."""

import logging
import time

from ksh_studio.demo import DRAWINGS, demo_project
from ksh_studio.disk import any_disk_errors, locked
from ksh_studio.drawings.importing import import_drawings
from ksh_studio.errors import StudioError
from ksh_studio.locales import Language
from ksh_studio.project.leftovers import clean_leftovers
from ksh_studio.project.workspace import Workspace
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visitors import clean_visitors

SECONDS_BETWEEN_CLEANINGS = 3600.0
log = logging.getLogger(__name__)


def finish_startup(studio: Studio, language: Language) -> None:
    """Remove leftovers, import the demo's drawings and find the device.

    On a Space it goes on to delete old visitors' folders every hour and does not return: it is meant for a thread of
    its own.
    """
    try:
        with any_disk_errors(studio.workspace.root):
            clean_leftovers(studio.workspace)
            import_demo(studio.workspace, language)
        studio.device()
    except StudioError as error:
        log.warning("the demo could not be made ready: %s", error)
    while studio.mode == "space":
        clean_visitors(studio.workspace)
        time.sleep(SECONDS_BETWEEN_CLEANINGS)


def import_demo(workspace: Workspace, language: Language) -> None:
    """Make the demo project and import its drawings, unless that has been done."""
    project = demo_project(workspace, language)
    if any(project.drawings.glob("*.webp")) or not DRAWINGS.is_dir():
        return
    with locked(workspace.root / "demo-drawings.lock", "job.starting"):
        for _ in import_drawings(DRAWINGS, project):
            pass
