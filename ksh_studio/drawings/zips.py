"""Zips to import: their names in any encoding, their limits, and their files read into memory one by one."""

import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ksh_studio.drawings.encodings import Encodings, UncertainEncoding
from ksh_studio.drawings.file_kinds import ARCHIVES, PICTURES, ending_reason, is_other_archive
from ksh_studio.drawings.pixels import Unreadable
from ksh_studio.errors import StudioError

MAX_ZIP_BYTES = 50_000_000_000
MAX_ZIP_RATIO = 200
_FREE_ZIP_BYTES = 200_000_000
"""The ratio does not count for zips that unpack to less: drawings of flat colours compress very well."""
_METHODS = frozenset((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))


def is_zip(path: Path, name: str) -> bool:
    """Whether a file of this name is opened as a zip; pictures, and files of paint programs, may be zips as well."""
    ending = PurePosixPath(name).suffix.lower()
    if ending == ".zip":
        return not is_other_archive(_head(path))
    may_be_zip = ending in ARCHIVES or (ending not in PICTURES and ending_reason(name) is None)
    return may_be_zip and zipfile.is_zipfile(path)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError:
        return b""


@contextmanager
def opened_zip(path: Path, label: str) -> Iterator[zipfile.ZipFile]:
    """The zip at `path`, open for the block. Raises StudioError when it is none, damaged, or may not be read."""
    try:
        opened = zipfile.ZipFile(path)
    except PermissionError as error:
        raise StudioError("import.forbidden", path=label) from error
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise StudioError("import.bad_zip", name=label) from error
    with opened:
        yield opened


def zip_entries(opened: zipfile.ZipFile, path: Path, label: str, most: int) -> list[tuple[str, zipfile.ZipInfo]]:
    """The zip's files with their names as text.

    Raises StudioError when there are more than `most`, when they would unpack to far too much, or when all are locked.
    """
    entries = [entry for entry in opened.infolist() if not entry.is_dir()]
    if len(entries) > most:
        raise StudioError("import.too_many", name=label, limit=most)
    total = sum(entry.file_size for entry in entries)
    if total > MAX_ZIP_BYTES or total > max(_FREE_ZIP_BYTES, MAX_ZIP_RATIO * path.stat().st_size):
        raise StudioError("import.zip_bomb", name=label, size=f"{total / 1e9:.1f}")
    if entries and all(entry.flag_bits & 1 for entry in entries):
        raise StudioError("import.zip_password", name=label)
    unmarked = {entry.orig_filename: raw for entry in entries if (raw := _unmarked_name(entry)) is not None}
    encodings = Encodings(unmarked.items())
    return [(_entry_name(entry, encodings), entry) for entry in entries]


def entry_reader(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[int], bytes]:
    """A function that returns at most so many bytes of the entry, and raises Unreadable with the reason."""

    def read(limit: int) -> bytes:
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise Unreadable("import.reason_zip_link")
        if entry.flag_bits & 1:
            raise Unreadable("import.reason_password")
        if entry.compress_type not in _METHODS:  # Explorer packs large zips with Deflate64
            raise Unreadable("import.reason_zip_method")
        try:
            with opened.open(entry) as file:
                return file.read(limit)
        except (zipfile.BadZipFile, RuntimeError, EOFError, ValueError, OSError, zlib.error) as error:
            raise Unreadable("import.reason_damaged") from error

    return read


def _unmarked_name(entry: zipfile.ZipInfo) -> bytes | None:
    """The bytes of a name without the flag for UTF-8; Korean Windows writes cp949 so, and macOS UTF-8."""
    if entry.flag_bits & 0x800:
        return None
    try:
        return entry.orig_filename.encode("cp437")
    except UnicodeEncodeError:
        return None


def _entry_name(entry: zipfile.ZipInfo, encodings: Encodings) -> str:
    raw = _unmarked_name(entry)
    if raw is None:
        return entry.filename
    try:
        return encodings.text_of(entry.orig_filename, raw)
    except UncertainEncoding:
        try:
            return raw.decode("cp949")  # a name is only shown and compared with the names in tables
        except UnicodeDecodeError:
            return entry.filename
