"""How many drawings a project has, how many of them have a caption, and how many its catalogue has lost."""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ksh_studio.disk import is_locked
from ksh_studio.errors import StudioError
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.project.workspace import Project


@dataclass(frozen=True)
class Count:
    """Drawings in all, and those with a caption."""

    total: int
    captioned: int
    unlisted: int = 0
    """Drawings on disk of which the catalogue knows nothing: it is missing, empty or older than they are."""


def drawings_of(project: Project) -> Count:
    """The project's count, from its catalogue and its folder of drawings.

    Raises StudioError when the catalogue cannot be read.
    """
    copies = _copies(project)
    total, captioned, rows = _counts(project)
    if copies > rows:  # an import writes the drawings first: they count once it has ended
        unlisted = 0 if is_locked(project.drawings_lock) else copies - _counts(project)[2]
        return Count(total, captioned, max(0, unlisted))
    return Count(total, captioned)


def require_catalogue(project: Project) -> None:
    """Raises StudioError when there are drawings on disk and the catalogue lists not a single one."""
    count = drawings_of(project)
    if count.unlisted and not count.total:
        raise unlisted(project, count)


def unlisted(project: Project, count: Count) -> StudioError:
    """The sentence about the drawings that the catalogue does not list."""
    return StudioError("captions.unlisted", count=count.unlisted, folder=project.drawings)


def _counts(project: Project) -> tuple[int, int, int]:
    """Drawings that are not excluded, those of them with a caption, and rows in all."""
    if not project.captions_db.is_file():
        return 0, 0, 0
    with Catalogue(project) as catalogue:
        counts = catalogue.counts()
    return counts["all"], counts["all"] - counts["empty"], counts["all"] + counts["excluded"]


def _copies(project: Project) -> int:
    try:
        return _files_in(project.drawings, project.drawings.stat().st_mtime_ns)
    except FileNotFoundError:
        return 0


@lru_cache(maxsize=64)
def _files_in(folder: Path, changed: int) -> int:
    """The drawings in a folder, counted again when the folder has changed: pages ask every second."""
    return sum(name.endswith(".webp") for name in os.listdir(folder))
