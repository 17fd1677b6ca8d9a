"""What is made ready while the page is already open: the demo's drawings, the device's name, old visitors' folders."""

import logging
import os
import shutil
import time
from pathlib import Path

from ksh_studio.catalogue import Catalogue
from ksh_studio.demo import DRAWINGS, demo_project
from ksh_studio.disk import locked
from ksh_studio.drawings.importing import import_drawings
from ksh_studio.errors import StudioError
from ksh_studio.locales import Language
from ksh_studio.ui.access import Studio
from ksh_studio.workspace import Project, Workspace

VISITOR_HOURS = 24.0
CLEANING_SECONDS = 3600.0
LEAST_FREE = 10**9
"""Bytes that must be free on a Space's disk for one more visitor."""
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


def welcome(studio: Studio, visitor: Workspace, language: Language) -> None:
    """A visitor of a Space arrives: their own workspace, with the demo's drawings and the artist's LoRA files in it.

    Raises StudioError when the disk has no room for one more.
    """
    if not visitor.root.is_dir() and shutil.disk_usage(studio.workspace.root).free < LEAST_FREE:
        raise StudioError("access.no_room")
    visitor.prepare()
    (visitor.root / "seen").touch()
    try:
        mine = demo_project(visitor, language)
        with locked(visitor.root / "welcome.lock", "job.starting"):
            _share_demo(studio.workspace, mine)
            for lora in studio.workspace.loras.glob("*.safetensors"):
                if not (visitor.loras / lora.name).exists():
                    _link(lora, visitor.loras / lora.name)
    except StudioError:
        log.info("another page of this visitor is making their workspace ready")


def _share_demo(workspace: Workspace, mine: Project) -> None:
    """Copy the drawings of the studio's demo project, once, instead of reading them again for every visitor."""
    demo = Project(workspace.projects_folder / mine.slug, workspace)
    if mine.captions_db.exists() or not demo.captions_db.is_file():
        return
    shutil.copytree(demo.drawings, mine.drawings, dirs_exist_ok=True, copy_function=_link)
    with Catalogue(demo) as catalogue:
        catalogue.copy_to(mine.captions_db)


def _link(source: str | Path, target: str | Path) -> None:
    """One file under two names: such files are never written to again. Copied where the disk cannot do that."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def clean_visitors(workspace: Workspace, hours: float = VISITOR_HOURS) -> list[str]:
    """Delete the workspaces of visitors who have not been seen for `hours`; returns their folder names."""
    gone = []
    for folder in workspace.visitors.glob("*/"):
        seen = max((path.stat().st_mtime for path in (folder, folder / "seen") if path.exists()), default=0.0)
        if time.time() - seen > hours * 3600:
            shutil.rmtree(folder, ignore_errors=True)
            gone.append(folder.name)
    return gone
