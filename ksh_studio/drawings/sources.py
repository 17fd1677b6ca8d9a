"""Folders, zips and single files to import, each as its pictures, its caption files, and what is left out.

Files of a zip are read into memory: nothing is written to disk under a name that a zip gives.
"""

import hashlib
import os
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path, PurePosixPath

from ksh_studio.drawings.file_kinds import (
    PICTURES,
    content_reason,
    ending_reason,
    file_reason,
    folder_reason,
    looks_like_a_picture,
    masks_among,
)
from ksh_studio.drawings.folders import PROJECT_FILES, Walk
from ksh_studio.drawings.pixels import MAX_FILE_BYTES, Unreadable
from ksh_studio.drawings.zips import entry_reader, is_zip, opened_zip, zip_entries
from ksh_studio.errors import StudioError

SIDECARS = frozenset((".txt", ".caption", ".cap", ".tags", ".json"))
"""Endings of files that hold the caption of one picture."""
TABLES = frozenset((".csv", ".tsv", ".jsonl", ".ndjson", ".json"))
"""Endings of files that may hold the captions of many pictures."""
MAX_FILES = 50_000


@dataclass(frozen=True)
class SourceFile:
    """One file of a source."""

    path: str
    """The path inside its source, as `displayable_path` writes it; no file is opened by this path."""
    read: Callable[[int], bytes]
    """Returns at most this many bytes from the beginning; raises OSError, or Unreadable with the reason."""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.path).name

    @property
    def suffix(self) -> str:
        """The ending of the name with its dot, in lower case."""
        return PurePosixPath(self.path).suffix.lower()


@dataclass(frozen=True, eq=False)
class Source:
    """A folder, a zip, or single files that are imported together. Sources are compared by identity."""

    root: str
    """Identifies a folder or zip from one import to the next; empty for single files."""
    label: str
    pictures: list[SourceFile] = field(default_factory=list)
    """The files that are pictures by their name or by their first bytes."""
    caption_files: list[SourceFile] = field(default_factory=list)
    """The files that may hold captions."""
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """(file or folder, key of the sentence that says why it is neither of the two)."""

    def sort_in(self, files: list[SourceFile]) -> None:
        """Add each file to the list in which it belongs."""
        masks = masks_among([file.path for file in files if file.suffix in PICTURES])
        for file in files:
            reason = file_reason(file.name) or ("import.reason_mask" if file.path in masks else None)
            if reason is not None:
                self.left_out.append((file.path, reason))
            elif file.suffix in PICTURES:
                self.pictures.append(file)
            elif file.suffix in SIDECARS | TABLES:
                self.caption_files.append(file)
            else:
                self._sort_by_content(file)

    def sort_in_by_folder(self, files: list[SourceFile]) -> None:
        """As `sort_in`, for files of a zip or an upload: those in folders that hold no drawings are left out."""
        folders: dict[str, str] = {}
        projects = _projects_among([file.path for file in files])
        inside = []
        for file in files:
            folder, reason = _folder_left_out(file.path, projects)
            if reason is None:
                inside.append(file)
            else:
                folders[folder] = reason
        self.sort_in(inside)
        self.left_out.extend(folders.items())

    def _sort_by_content(self, file: SourceFile) -> None:
        """Sort in a file whose name is not that of a picture, which it may be all the same, as a PNG `그림.dat`."""
        try:
            head = file.read(16)
        except (OSError, Unreadable):
            head = b""
        if looks_like_a_picture(head):
            self.pictures.append(file)
        else:
            reason = ending_reason(file.name) or content_reason(head) or "import.reason_other"
            self.left_out.append((file.path, reason))


@contextmanager
def open_sources(paths: list[Path], names: Mapping[Path, str] | None = None) -> Iterator[list[Source]]:
    """Open these paths as sources for the length of the block.

    names: the original names of files that an upload has renamed, by their path.
    Raises StudioError when a path does not exist, a zip is unsafe or damaged, or there are too many files.
    """
    with ExitStack() as stack:
        sources, files = [], []
        for path in paths:
            name = (names or {}).get(path, path.name)
            if path.is_dir():
                sources.append(_folder(path))
            elif not path.is_file():
                raise StudioError("import.not_there", path=path)
            elif is_zip(path, name):
                label = displayable_path(name)
                sources.append(_zip(stack.enter_context(opened_zip(path, label)), path, label))
            else:
                files.append(SourceFile(displayable_path(name), _reader(path)))
        if files:
            single = Source("", files[0].name)
            single.sort_in_by_folder(files)
            sources.append(single)
        yield sources


def displayable_path(name: str) -> str:
    """A file's path as it is shown: NFC, `/` between its parts, no control or direction characters, cut to 1000."""
    text = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    hidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    joined = "/".join(parts)
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in hidden else c for c in joined)[:1000]


def _folder(folder: Path) -> Source:
    walk, files = Walk(folder), []
    for path in walk.files():
        files.append(SourceFile(_path_inside(path, folder), _reader(path)))
        if len(files) > MAX_FILES:
            raise StudioError("import.too_many", name=folder.name, limit=MAX_FILES)
    full = folder.resolve()
    key = hashlib.sha256(os.fsencode(full)).hexdigest()[:12]
    source = Source(f"{displayable_path(full.name)}#{key}", displayable_path(full.name))
    source.sort_in(files)
    source.left_out.extend((_path_inside(path, folder), reason) for path, reason in walk.left_out)
    return source


def _path_inside(path: Path, folder: Path) -> str:
    return displayable_path(path.relative_to(folder).as_posix())


def _reader(path: Path) -> Callable[[int], bytes]:
    def read(limit: int) -> bytes:
        with path.open("rb") as file:  # the artist's files are only read, never changed
            return file.read(limit)

    return read


def _zip(opened: zipfile.ZipFile, path: Path, label: str) -> Source:
    source = Source(f"{label}#zip", label)
    named = [(displayable_path(name), entry) for name, entry in zip_entries(opened, path, label, MAX_FILES)]
    files = [SourceFile(name, entry_reader(opened, entry)) for name, entry in sorted(named, key=itemgetter(0)) if name]
    source.sort_in_by_folder(files)
    return source


def _projects_among(paths: list[str]) -> set[str]:
    """The folders that are projects of the studio itself, as in a backup of one."""
    names: dict[str, set[str]] = {}
    for path in map(PurePosixPath, paths):
        names.setdefault(str(path.parent), set()).add(path.name)
    return {folder for folder, inside in names.items() if inside >= PROJECT_FILES}


def _folder_left_out(path: str, projects: set[str]) -> tuple[str, str | None]:
    """The outermost folder on the way to a file that is left out, and why; None when the file may be read."""
    for folder in reversed(PurePosixPath(path).parents):
        if str(folder) in projects:
            return ("" if str(folder) == "." else str(folder)) or "project.json", "import.reason_project"
        reason = folder_reason(folder.name)
        if reason is not None:
            return str(folder), reason
    return path, None


def read_all(file: SourceFile, limit: int = MAX_FILE_BYTES, too_heavy: str = "import.reason_heavy") -> bytes:
    """All bytes of the file.

    Raises Unreadable when it cannot be read, or with the reason `too_heavy` when there are more bytes than `limit`.
    """
    try:
        data = file.read(limit + 1)
    except OSError as error:
        raise Unreadable("import.reason_forbidden") from error
    if len(data) > limit:
        raise Unreadable(too_heavy)
    return data
