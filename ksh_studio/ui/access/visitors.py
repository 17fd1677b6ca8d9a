"""Visitors of a Space: a workspace of their own, made when they come, deleted a day after they left."""

import logging
import os
import shutil
import time
from pathlib import Path

from ksh_studio.demo import demo_project
from ksh_studio.disk import locked
from ksh_studio.errors import StudioError
from ksh_studio.locales import Language
from ksh_studio.lora.folder import lora_files
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.project.workspace import Project, Workspace
from ksh_studio.ui.access.studio import Studio

log = logging.getLogger(__name__)
VISITOR_HOURS = 24.0

LEAST_FREE = 10**9
"""Bytes that must be free on a Space's disk for one more visitor."""


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
            for lora in lora_files(studio.workspace.loras):
                target = visitor.loras / lora.relative_to(studio.workspace.loras)
                if lora.is_file() and not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    _link(lora.resolve(), target)
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
