"""Lists and adds the generated pictures of a project, in `pictures/<date>/<n>-<seed>.png`. No torch."""

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import Timeout

from ksh_studio.disk import disk_errors, lock_file, write_bytes
from ksh_studio.errors import StudioError
from ksh_studio.project.workspace import Project

logger = logging.getLogger(__name__)
FILE_NAME = re.compile(r"([0-9]{1,9})-([0-9]{1,10})\.png")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
NUMBERING_SECONDS = 10.0


@dataclass(frozen=True)
class PictureFile:
    """A generated picture on disk."""

    path: Path
    date: str
    number: int
    """The number of the picture within its date, from 1."""
    seed: int


def pictures_of(project: Project, limit: int | None = None) -> list[PictureFile]:
    """The project's pictures, the newest first; with `limit`, at most that many."""
    pictures: list[PictureFile] = []
    for folder in sorted(_date_folders(project), key=lambda folder: folder.name, reverse=True):
        try:
            pictures += sorted(_in_folder(folder), key=lambda picture: picture.number, reverse=True)
        except OSError as error:  # one folder that cannot be read hides no other
            logger.warning("%s: %s", folder, error)
        if limit is not None and len(pictures) >= limit:
            return pictures[:limit]
    return pictures


def add_picture(project: Project, png: bytes, seed: int) -> Path:
    """Save a picture in today's folder under the next number, which no other process can take at the same time.

    Raises StudioError when the disk is full, writing is not allowed, or other processes hold the lock too long.
    """
    folder = project.pictures / f"{datetime.now():%Y-%m-%d}"
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = lock_file(folder / ".numbering.lock")
    try:
        with disk_errors(folder), lock.acquire(timeout=NUMBERING_SECONDS):
            number = max((int(match[1]) for _, match in _named_entries(folder)), default=0) + 1
            path = folder / f"{number:05d}-{seed}.png"
            write_bytes(path, png)
    except Timeout as error:
        raise StudioError("generate.numbering_busy", path=folder) from error
    return path


def _date_folders(project: Project) -> Iterator[Path]:
    if project.pictures.is_dir():
        yield from (path for path in project.pictures.iterdir() if DATE.fullmatch(path.name) and path.is_dir())


def _in_folder(folder: Path) -> Iterator[PictureFile]:
    for entry, match in _named_entries(folder):
        if entry.is_file():
            yield PictureFile(folder / entry.name, folder.name, int(match[1]), int(match[2]))


def _named_entries(folder: Path) -> "Iterator[tuple[os.DirEntry[str], re.Match[str]]]":
    """Whatever has the name of a picture; it may be something else."""
    with os.scandir(folder) as entries:
        for entry in entries:
            match = FILE_NAME.fullmatch(entry.name)
            if match:
                yield entry, match
