"""Drawings and captions go out in the formats other programs read; each comes in again with the same captions."""

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

from ksh_studio.config import Trigger
from ksh_studio.disk import disk_errors, replacing, sync
from ksh_studio.drawings.formats.tables import by_text, comma_separated, json_lines
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Finished, Progress, Warned
from ksh_studio.project.catalogue import By, Catalogue, Drawing
from ksh_studio.project.workspace import Project

Kind = Literal["imagefolder", "info.csv", "txt", "kohya"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# The Hub's loader sorts files into splits by words in their names; a folder `train` around everything settles it.
_FOLDERS: dict[Kind, str] = {"imagefolder": "train/", "info.csv": "", "txt": "", "kohya": "10_ksh/"}
_FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r")
SHOWN_NAMES = 5


def export(project: Project, target: Path, kind: Kind) -> Iterator[Event]:
    """Write every drawing that is not excluded, with its caption and the trigger, to `target`.

    target: a folder that does not exist yet or is empty, or a new `.zip`. It appears when it is whole, never before.
    kind: "imagefolder", `train/` with metadata.jsonl for datasets.load_dataset; "info.csv", the original's table as
    proper CSV; "txt", a text file beside each picture; "kohya", the same in `10_ksh/` (ten repeats).
    Files are called by the drawings' ids; a drawing without caption has the trigger alone.
    Yields Progress, warnings and Finished.
    Raises StudioError when there is nothing to write, the target is in the way, or the disk is full.
    """
    if kind not in KINDS:
        raise StudioError("export.unknown_kind", kind=str(kind)[:40], kinds=", ".join(KINDS))
    if target.is_file() or (target.is_dir() and (target.suffix.lower() == ".zip" or any(target.iterdir()))):
        raise StudioError("export.in_the_way", path=target)
    with Catalogue(project) as catalogue:
        drawings = catalogue.drawings()
    if not drawings:
        raise StudioError("export.nothing")
    rows, lost = _rows(project, drawings)
    if lost:
        yield Warned.saying("export.lost", **_counted([drawing.original_name for drawing in lost]))
    if kind == "info.csv":
        yield from _formula_warning(rows)
    with _staged(target) as package:
        yield from _write(package, rows, kind)
    yield Finished.saying("export.finished", count=len(rows), name=target.name)


@dataclass(frozen=True)
class _Row:
    drawing: Drawing
    picture: Path
    text: str
    """The caption with the trigger."""

    @property
    def name(self) -> str:
        return self.picture.name


class _Package(Protocol):
    def copy(self, name: str, path: Path) -> None:
        """Put the file at `path` into the package as `name`."""

    def write(self, name: str, data: bytes) -> None:
        """Put a file of these bytes into the package as `name`."""


def _rows(project: Project, drawings: list[Drawing]) -> tuple[list[_Row], list[Drawing]]:
    trigger: Trigger = project.settings().trigger
    kept = [drawing for drawing in drawings if drawing.path(project).is_file()]
    lost = [drawing for drawing in drawings if drawing not in kept]
    return [_Row(drawing, drawing.path(project), trigger.apply(drawing.caption)) for drawing in kept], lost


def _write(package: _Package, rows: list[_Row], kind: Kind) -> Iterator[Event]:
    folder = _FOLDERS[kind]
    for done, row in enumerate(rows, 1):
        package.copy(folder + row.name, row.picture)
        if kind in ("txt", "kohya") and row.text:  # kohya's loader refuses an empty text file
            package.write(f"{folder}{row.drawing.id}.txt", row.text.encode())
        yield Progress(phase="export", done=done, total=len(rows))
    if kind == "imagefolder":
        package.write(f"{folder}metadata.jsonl", json_lines(map(_cells, rows)))
    elif kind == "info.csv":
        package.write("info.csv", comma_separated((row.name, row.text) for row in rows))


def _cells(row: _Row) -> dict[str, str]:
    by = By(row.drawing.source, row.drawing.author)
    return {"file_name": row.name, "text": row.text, "source": by_text(by), "original_name": row.drawing.original_name}


def _formula_warning(rows: list[_Row]) -> Iterator[Event]:
    """Excel would calculate such a cell; it is written as it is, so that nothing is lost, and named."""
    run = [row.drawing.original_name for row in rows if row.text.startswith(_FORMULA_BEGINS)]
    if run:
        yield Warned.saying("export.formula", **_counted(run))


def _counted(names: list[str]) -> dict[str, str]:
    return {"count": str(len(names)), "names": ", ".join(names[:SHOWN_NAMES])}


@contextmanager
def _staged(target: Path) -> Iterator[_Package]:
    """A package under another name, which becomes `target` when the block ends well and vanishes when it does not."""
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
                target.rmdir()  # empty: looked at before; Windows renames onto nothing
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
        shutil.copyfile(path, to)  # a copy, no link: what others do to it must not reach the project

    def write(self, name: str, data: bytes) -> None:
        (self.root / name).write_bytes(data)
        sync(self.root / name)


@dataclass(frozen=True)
class _Zip:
    archive: zipfile.ZipFile

    def copy(self, name: str, path: Path) -> None:
        self.archive.write(path, name, zipfile.ZIP_STORED)  # WebP does not get smaller

    def write(self, name: str, data: bytes) -> None:
        self.archive.writestr(name, data, zipfile.ZIP_DEFLATED)
