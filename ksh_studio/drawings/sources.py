"""Folders, zips and single files to import, each as a list of files that can be read.

Files of a zip are read into memory: nothing is written to disk under a name that a zip gives.
"""

import hashlib
import os
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from ksh_studio.drawings.pixels import MAX_FILE_BYTES, Unreadable, looks_like_a_picture
from ksh_studio.errors import StudioError

PICTURES = frozenset(
    ".png .apng .jpg .jpeg .jpe .jfif .webp .gif .bmp .dib .tif .tiff .psd .psb .heic .heif .avif .jxl .svg .ico"
    " .tga .clip .kra .sai .sai2 .xcf .procreate .exr .fits .fpx".split()
)
TABLES = frozenset(("info.csv", "metadata.csv", "metadata.jsonl"))
SIDECARS = frozenset((".txt", ".caption"))
MAX_FILES = 50_000
MAX_ZIP_BYTES = 50_000_000_000
MAX_ZIP_RATIO = 200
_FREE_ZIP_BYTES = 200_000_000
"""The ratio does not count for zips that unpack to less: drawings of flat colours compress very well."""


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
    files: list[SourceFile]

    @cached_property
    def pictures(self) -> list[SourceFile]:
        """The files that are pictures by their name or by their first bytes, in the order of `files`."""
        return [file for file in self.files if file.suffix in PICTURES or _disguised(file)]


@contextmanager
def open_sources(paths: list[Path], names: Mapping[Path, str] | None = None) -> Iterator[list[Source]]:
    """Open these paths as sources for the length of the block.

    names: the original names of files that an upload has renamed, by their path.
    Raises StudioError when a path does not exist, a zip is unsafe or damaged, or there are too many files.
    """
    with ExitStack() as stack:
        sources, files = [], []
        for path in paths:
            if path.is_dir():
                sources.append(_folder(path))
            elif not path.is_file():
                raise StudioError("import.not_there", path=path)
            elif _is_zip(path, label := (names or {}).get(path, path.name)):
                sources.append(_zip(stack.enter_context(_opened_zip(path, label)), path, label))
            else:
                files.append(SourceFile(displayable_path(label), _reader(path)))
        if files:
            sources.append(Source("", files[0].name, files))
        yield sources


def _is_zip(path: Path, label: str) -> bool:
    suffix = PurePosixPath(label).suffix.lower()
    return suffix == ".zip" or (suffix not in PICTURES and zipfile.is_zipfile(path))  # pictures may end in a zip


def displayable_path(name: str) -> str:
    """A file's path as it is shown: NFC, `/` between its parts, no control or direction characters, cut to 1000."""
    text = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    hidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    joined = "/".join(parts)
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in hidden else c for c in joined)[:1000]


def _folder(folder: Path) -> Source:
    files = []
    for parent, folders, names in os.walk(folder, onerror=_forbidden):
        folders[:] = sorted(name for name in folders if not _skipped(name))  # the folders that os.walk goes into
        for name in sorted(names):
            path = Path(parent) / name
            if _skipped(name) or not path.is_file():
                continue
            files.append(SourceFile(displayable_path(path.relative_to(folder).as_posix()), _reader(path)))
            if len(files) > MAX_FILES:
                raise StudioError("import.too_many", name=folder.name, limit=MAX_FILES)
    full = folder.resolve()
    key = hashlib.sha256(os.fsencode(full)).hexdigest()[:12]
    return Source(f"{displayable_path(full.name)}#{key}", displayable_path(full.name), files)


def _forbidden(error: OSError) -> None:
    raise StudioError("import.forbidden", path=error.filename) from error


def _skipped(name: str) -> bool:
    return name.startswith(".") or name.lower() in ("__macosx", "thumbs.db", "desktop.ini")


def _reader(path: Path) -> Callable[[int], bytes]:
    def read(limit: int) -> bytes:
        with path.open("rb") as file:  # the artist's files are only read, never changed
            return file.read(limit)

    return read


@contextmanager
def _opened_zip(path: Path, label: str) -> Iterator[zipfile.ZipFile]:
    try:
        opened = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise StudioError("import.bad_zip", name=displayable_path(label)) from error
    with opened:
        yield opened


def _zip(opened: zipfile.ZipFile, path: Path, label: str) -> Source:
    label = displayable_path(label)
    entries = [entry for entry in opened.infolist() if not entry.is_dir()]
    if len(entries) > MAX_FILES:
        raise StudioError("import.too_many", name=label, limit=MAX_FILES)
    total = sum(entry.file_size for entry in entries)
    if total > MAX_ZIP_BYTES or total > max(_FREE_ZIP_BYTES, MAX_ZIP_RATIO * path.stat().st_size):
        raise StudioError("import.zip_bomb", name=label, size=f"{total / 1e9:.1f}")
    if entries and all(entry.flag_bits & 1 for entry in entries):
        raise StudioError("import.zip_password", name=label)
    named = [
        (displayable_path(_zip_name(entry)), entry) for entry in entries if not stat.S_ISLNK(entry.external_attr >> 16)
    ]
    named = [(name, entry) for name, entry in named if name and not any(map(_skipped, name.split("/")))]
    files = [SourceFile(name, _zip_reader(opened, entry)) for name, entry in sorted(named, key=lambda pair: pair[0])]
    return Source(f"{label}#zip", label, files)


def _zip_name(entry: zipfile.ZipInfo) -> str:
    """The entry's name. Korean Windows writes names in cp949 and macOS in UTF-8, both without the flag that says so."""
    if entry.flag_bits & 0x800:
        return entry.filename
    try:
        raw = entry.orig_filename.encode("cp437")
    except UnicodeEncodeError:
        return entry.filename
    for encoding in ("utf-8", "cp949"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return entry.filename


def _zip_reader(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[int], bytes]:
    def read(limit: int) -> bytes:
        if entry.flag_bits & 1:
            raise Unreadable("import.reason_password")
        try:
            with opened.open(entry) as file:
                return file.read(limit)
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            RuntimeError,
            EOFError,
            ValueError,
            OSError,
            zlib.error,
        ) as error:
            raise Unreadable("import.reason_damaged") from error

    return read


def _disguised(file: SourceFile) -> bool:
    """Whether a file is a picture by its first bytes although its name does not say so, as a PNG called `그림.dat`."""
    if file.suffix in SIDECARS or file.name.lower() in TABLES:
        return False
    try:
        return looks_like_a_picture(file.read(16))
    except (OSError, Unreadable):
        return False


def read_all(file: SourceFile, limit: int = MAX_FILE_BYTES) -> bytes:
    """All bytes of the file. Raises Unreadable when there are more than `limit`, or when it cannot be read."""
    try:
        data = file.read(limit + 1)
    except OSError as error:
        raise Unreadable("import.reason_forbidden") from error
    if len(data) > limit:
        raise Unreadable("import.reason_heavy")
    return data
