"""What an artist brings: folders, zips and single files, as lists of named bytes. Nothing is ever unpacked by name."""

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
"""So much may come out of any zip, however well it is packed: flat drawings pack very well."""


@dataclass(frozen=True)
class SourceFile:
    """One file of a source."""

    path: str
    """Inside its source, POSIX style, composed (NFC), fit to be shown. Never used to open anything."""
    read: Callable[[int], bytes]
    """Reads at most so many bytes from the beginning; raises OSError, or Unreadable with the reason."""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.path).name

    @property
    def suffix(self) -> str:
        """With its dot, in small letters."""
        return PurePosixPath(self.path).suffix.lower()


@dataclass(frozen=True, eq=False)
class Source:
    """A folder, a zip, or a handful of files; two are never the same, even of one name."""

    root: str
    """The same for the same folder or zip at every import; empty for single files, which have no "gone"."""
    label: str
    files: list[SourceFile]

    @cached_property
    def pictures(self) -> list[SourceFile]:
        """Files that are, or by their name claim to be, pictures; in the order of their paths."""
        return [item for item in self.files if item.suffix in PICTURES or _disguised(item)]


@contextmanager
def open_sources(paths: list[Path], names: Mapping[Path, str] | None = None) -> Iterator[list[Source]]:
    """The sources of these paths, open while the block runs.

    names: what single files were called before an upload renamed them.
    Raises StudioError for what is not there, an unsafe or damaged zip, and too many files.
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
                files.append(SourceFile(shown(label), _reader(path)))
        if files:
            sources.append(Source("", files[0].name, files))
        yield sources


def _is_zip(path: Path, label: str) -> bool:
    suffix = PurePosixPath(label).suffix.lower()
    return suffix == ".zip" or (suffix not in PICTURES and zipfile.is_zipfile(path))  # some pictures end in a zip


def shown(name: str) -> str:
    """A file's path as text for people: composed, with `/`, without control and direction characters."""
    text = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    hidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    joined = "/".join(parts)
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in hidden else c for c in joined)[:1000]


def _folder(folder: Path) -> Source:
    items = []
    for parent, folders, files in os.walk(folder, onerror=_forbidden):
        folders[:] = sorted(name for name in folders if not _skipped(name))
        for name in sorted(files):
            path = Path(parent) / name
            if _skipped(name) or not path.is_file():
                continue
            items.append(SourceFile(shown(path.relative_to(folder).as_posix()), _reader(path)))
            if len(items) > MAX_FILES:
                raise StudioError("import.too_many", name=folder.name, limit=MAX_FILES)
    full = folder.resolve()
    key = hashlib.sha256(os.fsencode(full)).hexdigest()[:12]
    return Source(f"{shown(full.name)}#{key}", shown(full.name), items)


def _forbidden(error: OSError) -> None:
    raise StudioError("import.forbidden", path=error.filename) from error


def _skipped(name: str) -> bool:
    return name.startswith(".") or name.lower() in ("__macosx", "thumbs.db", "desktop.ini")


def _reader(path: Path) -> Callable[[int], bytes]:
    def read(limit: int) -> bytes:
        with path.open("rb") as file:  # only ever for reading: the artist's files are never touched
            return file.read(limit)

    return read


@contextmanager
def _opened_zip(path: Path, label: str) -> Iterator[zipfile.ZipFile]:
    try:
        opened = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise StudioError("import.bad_zip", name=shown(label)) from error
    with opened:
        yield opened


def _zip(opened: zipfile.ZipFile, path: Path, label: str) -> Source:
    label = shown(label)
    entries = [entry for entry in opened.infolist() if not entry.is_dir()]
    if len(entries) > MAX_FILES:
        raise StudioError("import.too_many", name=label, limit=MAX_FILES)
    total = sum(entry.file_size for entry in entries)
    if total > MAX_ZIP_BYTES or total > max(_FREE_ZIP_BYTES, MAX_ZIP_RATIO * path.stat().st_size):
        raise StudioError("import.zip_bomb", name=label, size=f"{total / 1e9:.1f}")
    if entries and all(entry.flag_bits & 1 for entry in entries):
        raise StudioError("import.zip_password", name=label)
    named = [(shown(_zip_name(entry)), entry) for entry in entries if not stat.S_ISLNK(entry.external_attr >> 16)]
    named = [(name, entry) for name, entry in named if name and not any(map(_skipped, name.split("/")))]
    items = [SourceFile(name, _zip_reader(opened, entry)) for name, entry in sorted(named, key=lambda pair: pair[0])]
    return Source(f"{label}#zip", label, items)


def _zip_name(entry: zipfile.ZipInfo) -> str:
    """The entry's name; zips of Korean Windows are in cp949 and those of macOS in UTF-8, and neither says so."""
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


def _disguised(item: SourceFile) -> bool:
    """Content beats extension: a PNG called `그림.dat`, or without any ending, is a picture."""
    if item.suffix in SIDECARS or item.name.lower() in TABLES:
        return False
    try:
        return looks_like_a_picture(item.read(16))
    except (OSError, Unreadable):
        return False


def read_all(item: SourceFile, limit: int = MAX_FILE_BYTES) -> bytes:
    """The file's bytes. Raises Unreadable when there are more than `limit`, or it cannot be read."""
    try:
        data = item.read(limit + 1)
    except OSError as error:
        raise Unreadable("import.reason_forbidden") from error
    if len(data) > limit:
        raise Unreadable("import.reason_heavy")
    return data
