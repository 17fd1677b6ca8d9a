"""Removes what killed processes have left in a workspace: files and folders that never became whole, old downloads."""

import logging
import os
import shutil
import time
from pathlib import Path

from ksh_studio.disk import LEFT_OVER_SECONDS, is_left_over, is_locked
from ksh_studio.project.workspace import Workspace

log = logging.getLogger(__name__)


def clean_leftovers(workspace: Workspace) -> list[Path]:
    """Remove what is surely the studio's own, and what no living process works on; returns what was removed.

    These are half-written files and half-restored projects (see `disk.unfinished`); the reserves of jobs that nobody
    works on; and in the cache, zips that were made to be downloaded and files that were uploaded, after a day.
    """
    paths = []
    for parent, folders, files in os.walk(workspace.root):
        left = [name for name in (*folders, *files) if _is_left_over(Path(parent) / name)]
        folders[:] = [name for name in folders if name not in left]
        paths += [Path(parent) / name for name in left]
    return [path for path in (*paths, *_reserves(workspace), *_old_in_cache(workspace)) if _remove(path)]


def _is_left_over(path: Path) -> bool:
    try:
        return is_left_over(path)
    except OSError:  # finished, or gone, meanwhile
        return False


def _reserves(workspace: Workspace) -> list[Path]:
    """The room that a killed job had kept for its last event."""
    paths = [path for project in workspace.projects() for path in project.jobs.glob("*/reserve")]
    return [path for path in paths if not is_locked(path.with_name("lock"))]


def _old_in_cache(workspace: Workspace) -> list[Path]:
    """Downloads (by project and kind) and uploads that nobody has touched for a day."""
    paths = [*workspace.cache.glob("outgoing/*/*/*"), *workspace.cache.glob("uploads/*")]
    return [path for path in paths if time.time() - _last_change(path) > LEFT_OVER_SECONDS]


def _last_change(path: Path) -> float:
    """Of a file, or of the newest thing in a folder."""
    try:
        return max(each.lstat().st_mtime for each in (path, *path.rglob("*")))
    except OSError:
        return time.time()


def _remove(path: Path) -> bool:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        log.warning("%s: %s", path, error)
        return False
    return True
