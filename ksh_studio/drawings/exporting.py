"""Exports drawings and captions in formats that other programs read.

An import of what was exported gives the same drawings and captions again.
"""

import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, get_args

from ksh_studio.config import ExportFormat, ExportNames, Trigger
from ksh_studio.disk import disk_errors, replacing, sync
from ksh_studio.drawings.export_names import export_stems
from ksh_studio.drawings.formats.tables import by_text, comma_separated, json_lines
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Finished, Progress, Stopped, Warned
from ksh_studio.locales import listed
from ksh_studio.project.catalogue import By, Catalogue, Drawing
from ksh_studio.project.workspace import Project

EXPORT_FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
EXPORT_NAMES: tuple[ExportNames, ...] = get_args(ExportNames)
# The Hub's loader takes the split (train, test, ...) from words in file names; inside a folder `train` all is train.
_FOLDERS: dict[ExportFormat, str] = {"imagefolder": "train/", "info.csv": "", "txt": "", "kohya": "10_ksh/"}
_FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r")
PROGRESS_SECONDS = 0.5


class _StopRequested(Exception):
    """Leaves the block that writes, so that nothing half-written becomes the target."""


def export(
    project: Project,
    target: Path,
    export_format: ExportFormat,
    should_stop: Callable[[], bool] = lambda: False,
    names: ExportNames = "original",
) -> Iterator[Event]:
    """Write every drawing that is not excluded, with its caption and the trigger, to `target`.

    target: a folder that is empty or does not exist yet, or a new `.zip`. It is put there when it is complete.
    export_format: "imagefolder" is a folder `train/` with metadata.jsonl, for datasets.load_dataset; "info.csv" is the
    table of the original program, as proper CSV; "txt" is a text file beside each picture; "kohya" is the same in
    `10_ksh/`, whose name asks kohya's scripts for ten repeats.
    names: "original" calls each file as the artist's own, as `export_stems` says; "id" by the drawing's id.
    The text of a drawing without a caption is the trigger alone.
    Yields Progress, warnings, and Finished or Stopped; of a stopped export nothing is left.
    Raises StudioError when there is nothing to export, `target` exists and is not empty, or the disk is full.
    """
    if export_format not in EXPORT_FORMATS:
        raise StudioError("export.unknown_format", format=str(export_format)[:40], formats=", ".join(EXPORT_FORMATS))
    if target.is_file() or (target.is_dir() and (target.suffix.lower() == ".zip" or any(target.iterdir()))):
        raise StudioError("export.in_the_way", path=target)
    with Catalogue(project) as catalogue:
        drawings = catalogue.drawings()
    if not drawings:
        raise StudioError("export.nothing")
    exported, missing = _split_missing(project, drawings, names)
    if missing:
        yield Warned.saying("export.lost", **_counted([drawing.original_name for drawing in missing]))
    if export_format == "info.csv":
        yield from _formula_warning(exported)
    try:
        with _staged(target) as package:
            yield from _write(package, exported, export_format, should_stop)
    except _StopRequested:
        yield Stopped.saying("export.stopped")
        return
    yield Finished.saying("export.finished", count=len(exported), name=target.name)


@dataclass(frozen=True)
class _ExportedDrawing:
    """A drawing whose picture is on disk, and the text that goes with it."""

    drawing: Drawing
    picture: Path
    stem: str
    """The name of its files in the export, without their endings."""
    text: str
    """The caption with the trigger."""

    @property
    def name(self) -> str:
        """The name of the picture file in the export."""
        return self.stem + self.picture.suffix


class _Package(Protocol):
    def copy(self, name: str, path: Path) -> None:
        """Put the file at `path` into the package as `name`."""

    def write(self, name: str, data: bytes) -> None:
        """Put a file of these bytes into the package as `name`."""


def _split_missing(
    project: Project, drawings: list[Drawing], names: ExportNames
) -> tuple[list[_ExportedDrawing], list[Drawing]]:
    """What is exported of these drawings, and the drawings whose picture is missing."""
    trigger: Trigger = project.settings().trigger
    stems = export_stems(drawings) if names == "original" else {}
    exported, missing = [], []
    for drawing in drawings:
        path = drawing.path(project)
        if path.is_file():
            stem = stems.get(drawing.id, drawing.id)
            exported.append(_ExportedDrawing(drawing, path, stem, trigger.apply(drawing.caption)))
        else:
            missing.append(drawing)
    return exported, missing


def _write(
    package: _Package, exported: list[_ExportedDrawing], export_format: ExportFormat, should_stop: Callable[[], bool]
) -> Iterator[Event]:
    folder, reported = _FOLDERS[export_format], time.monotonic()
    yield Progress(phase="export", done=0, total=len(exported))
    for done, one in enumerate(exported, 1):
        if should_stop():
            raise _StopRequested
        package.copy(folder + one.name, one.picture)
        if export_format in ("txt", "kohya") and one.text:  # kohya's loader refuses an empty text file
            package.write(f"{folder}{one.stem}.txt", one.text.encode())
        if time.monotonic() - reported > PROGRESS_SECONDS or done == len(exported):
            reported = time.monotonic()
            yield Progress(phase="export", done=done, total=len(exported))
    if export_format == "imagefolder":
        package.write(f"{folder}metadata.jsonl", json_lines(map(_cells, exported)))
    elif export_format == "info.csv":
        package.write("info.csv", comma_separated((one.name, one.text) for one in exported))


def _cells(one: _ExportedDrawing) -> dict[str, str]:
    """The line of metadata.jsonl for a drawing."""
    by = By(one.drawing.source, one.drawing.author)
    return {"file_name": one.name, "text": one.text, "source": by_text(by), "original_name": one.drawing.original_name}


def _formula_warning(exported: list[_ExportedDrawing]) -> Iterator[Event]:
    """Warn of texts that Excel takes for formulas; they are written unchanged, so that nothing is lost."""
    names = [one.drawing.original_name for one in exported if one.text.startswith(_FORMULA_BEGINS)]
    if names:
        yield Warned.saying("export.formula", **_counted(names))


def _counted(names: list[str]) -> dict[str, str]:
    return {"count": str(len(names)), "names": listed(names)}


@contextmanager
def _staged(target: Path) -> Iterator[_Package]:
    """Write to a temporary name, which becomes `target` when the block succeeds and is removed when it fails."""
    if target.suffix.lower() == ".zip":
        with replacing(target) as beside, zipfile.ZipFile(beside, "w") as archive:
            yield _Zip(archive)
        return
    beside = target.with_name(f".{target.name}.part")
    with disk_errors(target):
        shutil.rmtree(beside, ignore_errors=True)
        try:
            beside.mkdir(parents=True)
            yield _Folder(beside)
            if target.is_dir():
                target.rmdir()  # `export` has checked that it is empty; Windows cannot rename onto an existing folder
            beside.rename(target)
            sync(target.parent)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


@dataclass(frozen=True)
class _Folder:
    root: Path

    def copy(self, name: str, path: Path) -> None:
        to = self.root / name
        to.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, to)  # not a link: changes to the export must not change the project

    def write(self, name: str, data: bytes) -> None:
        (self.root / name).write_bytes(data)
        sync(self.root / name)


@dataclass(frozen=True)
class _Zip:
    archive: zipfile.ZipFile

    def copy(self, name: str, path: Path) -> None:
        self.archive.write(path, name, zipfile.ZIP_STORED)  # compression makes WebP no smaller

    def write(self, name: str, data: bytes) -> None:
        self.archive.writestr(name, data, zipfile.ZIP_DEFLATED)
