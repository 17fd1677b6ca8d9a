"""A project as one zip, and back again as a new project."""

import json
import os
import re
import shutil
import stat
import time
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ksh_studio.disk import disk_errors, replacing, sync, unfinished
from ksh_studio.errors import StudioError
from ksh_studio.paths import is_device_name
from ksh_studio.project.catalogue import Catalogue, check_foreign
from ksh_studio.project.set_aside import set_aside
from ksh_studio.project.workspace import Project, Workspace, slug_of

FORMAT = 1
LABEL = "ksh-backup.json"
MAX_ENTRIES = 500_000
MAX_RATIO = 50
FREE_BYTES = 50_000_000
"""Unpacked size that is always allowed, however well the backup is packed: event files pack very well."""
CHUNK_BYTES = 1 << 20
_FOLDERS = ("drawings", "jobs", "pictures")
_SUFFIXES = (".webp", ".png", ".json", ".jsonl", ".txt", ".safetensors")
_STORED = (".webp", ".png", ".safetensors")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,119}")
_SETTINGS_BYTES = 4_000_000
"""The largest project.json and job.json: an import lists its files there."""
_NOT_KEPT = ("process.json", "control")

OnFile = Callable[[int, int], None]
"""Called after each file, with the files done and the files in all."""


def back_up(project: Project, target: Path, checkpoints: bool = False, on_file: OnFile | None = None) -> Path:
    """Write the project's drawings, captions, jobs and pictures to the zip file `target` and return it.

    The captions are a consistent copy, even while a job writes them.
    checkpoints: also the states from which training resumes; they are large.
    Raises StudioError when the disk is full; what stood at `target` is then as it was.
    """
    with replacing(target) as beside, _removed(unfinished(target.with_name("captions.db"))) as captions:
        if project.captions_db.is_file():
            with Catalogue(project) as catalogue:
                catalogue.copy_to(captions)
        files = _files(project, checkpoints)  # listed after the captions were copied: none is without its drawing
        if captions.is_file():
            files.append(("captions.db", captions))
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(LABEL, json.dumps({"format": FORMAT, "slug": project.slug, "time": time.time()}))
            for done, (name, path) in enumerate(files, 1):
                _add_file(archive, name, path)
                if on_file is not None:
                    on_file(done, len(files))
    return target


@contextmanager
def _removed(path: Path) -> Iterator[Path]:
    """The path of a file that is removed when the block ends."""
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def restore(
    source: Path, workspace: Workspace, on_file: OnFile | None = None, known_models: Collection[str] = ()
) -> Project:
    """Unpack a backup as a new project; one whose folder has that name already is left alone.

    known_models: names that the project's settings may keep; other models, and what else of this machine its settings
    name, are set aside until the owner allows them.
    Raises StudioError for a file that is no backup of a project, is damaged or unsafe, or comes from a newer studio.
    """
    try:
        archive = zipfile.ZipFile(source)
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise StudioError("backup.not_a_zip", name=source.name) from error
    staged = unfinished(workspace.root / "restoring")  # on the same disk, and in no list of projects
    try:
        with archive, disk_errors(staged):
            entries = _checked(archive, source, workspace.projects_folder)
            for done, entry in enumerate(entries, 1):
                _unpack(archive, entry, staged)
                if on_file is not None:
                    on_file(done, len(entries))
        _check_unpacked(staged, workspace, source)
        set_aside(Project(staged, workspace), known_models)
        return _move_into_place(staged, workspace)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError, zlib.error) as error:
        raise StudioError("backup.damaged", name=source.name) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _files(project: Project, checkpoints: bool) -> list[tuple[str, Path]]:
    """Name in the zip and path of each file that is kept."""
    files = [("project.json", project.settings_file)]
    for top in _FOLDERS:
        for parent, folders, names in os.walk(project.root / top):
            folders.sort()
            paths = [Path(parent) / name for name in sorted(names)]
            files += [(project.relative(path), path) for path in paths]
    return [(name, path) for name, path in files if _belongs(name) and (checkpoints or not _is_checkpoint(name))]


def _belongs(name: str) -> bool:
    """Whether a backup may hold a file of this name: the same rule for writing and for unpacking."""
    parts = name.split("/")
    if name in ("project.json", "captions.db"):
        return True
    plain = all(_PART.fullmatch(part) and not part.endswith(".") and not is_device_name(part) for part in parts)
    inside = len(parts) > 1 and parts[0] in _FOLDERS and plain
    return inside and parts[-1].endswith(_SUFFIXES) and not any(part in _NOT_KEPT for part in parts)


def _is_checkpoint(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return len(parts) > 3 and parts[0] == "jobs" and parts[2] == "checkpoints"


def _add_file(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    compression = zipfile.ZIP_STORED if name.endswith(_STORED) else zipfile.ZIP_DEFLATED
    try:
        archive.write(path, name, compression)
    except FileNotFoundError:
        return  # an old checkpoint or preview of a running job, removed since it was listed


def _checked(archive: zipfile.ZipFile, source: Path, folder: Path) -> list[zipfile.ZipInfo]:
    """The entries to unpack. Raises StudioError when this is no backup, or not as the studio writes one."""
    version = _format_of(archive)
    if version is None or "project.json" not in archive.namelist():
        raise StudioError("backup.not_ours", name=source.name)
    if version > FORMAT:
        raise StudioError("backup.newer", name=source.name)
    entries = [entry for entry in archive.infolist() if entry.filename != LABEL]
    total = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_ENTRIES or total > max(FREE_BYTES, MAX_RATIO * source.stat().st_size):
        raise StudioError("backup.too_much", name=source.name)
    if any(
        entry.file_size > _SETTINGS_BYTES for entry in entries if entry.filename.endswith(("project.json", "job.json"))
    ):
        raise StudioError("backup.too_much", name=source.name)
    names = [entry.filename for entry in entries]
    unsafe = [entry for entry in entries if not _belongs(entry.filename) or stat.S_ISLNK(entry.external_attr >> 16)]
    if unsafe or len({name.lower() for name in names}) != len(names) or any(entry.flag_bits & 1 for entry in entries):
        raise StudioError("backup.unsafe", name=source.name)
    free = shutil.disk_usage(folder).free
    if total > free:
        raise StudioError("backup.no_space", name=source.name, needed=f"{total / 1e9:.1f}", free=f"{free / 1e9:.1f}")
    return entries


def _format_of(archive: zipfile.ZipFile) -> int | None:
    """The format number of the backup; None when the file is no backup of the studio."""
    try:
        with archive.open(LABEL) as file:
            label = json.loads(file.read(CHUNK_BYTES))
        return int(label["format"])
    except (KeyError, ValueError, TypeError, OverflowError, RuntimeError, RecursionError):
        return None


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, staged: Path) -> None:
    target = staged / entry.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as packed, target.open("xb") as file:
        shutil.copyfileobj(packed, file, CHUNK_BYTES)  # never more than the entry says: zipfile checks it
    sync(target)


def _check_unpacked(staged: Path, workspace: Workspace, source: Path) -> None:
    """Raise StudioError when the unpacked project's settings or captions are not as the studio writes them."""
    try:
        Project(staged, workspace).settings()
    except StudioError as error:
        raise StudioError("backup.damaged", name=source.name) from error
    if (staged / "captions.db").is_file():
        check_foreign(staged / "captions.db")


def _move_into_place(staged: Path, workspace: Workspace) -> Project:
    """Rename the unpacked project to a free folder name."""
    slug = base = slug_of(Project(staged, workspace).settings().name)
    number = 2
    while True:
        try:
            if not (workspace.projects_folder / slug).exists():  # POSIX would rename onto an empty folder
                staged.rename(workspace.projects_folder / slug)
                sync(workspace.projects_folder)
                return workspace.project(slug)
        except FileExistsError:
            continue  # another process has just made one of this name: try the next
        slug, number = f"{base}-{number}", number + 1
