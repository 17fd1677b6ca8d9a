"""Paths that were read from a file or a request somebody else may have written: resolved inside their own folder."""

import re
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from ksh_studio.errors import StudioError

SIGNATURE_BYTES = 64
"""So much of a file's beginning tells its kind."""
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)\d)(\..*)?", re.IGNORECASE)
SHOWN_CHARACTERS = 200


@dataclass(frozen=True)
class FileKind:
    """A kind of file, told by the ending of its name and by its first bytes."""

    suffix: str
    signature: re.Pattern[bytes]
    """How its content begins."""


PNG = FileKind(".png", re.compile(rb"\x89PNG\r\n\x1a\n"))
WEBP = FileKind(".webp", re.compile(rb"RIFF.{4}WEBP", re.DOTALL))
SAFETENSORS = FileKind(".safetensors", re.compile(rb".{5}\x00{3}\{", re.DOTALL))
"""8 bytes of length, of which the last three are zero below a terabyte, and JSON."""
JSON = FileKind(".json", re.compile(rb"\s*\{"))


def is_plain(path: str) -> bool:
    """Whether a relative path, in whatever system's spelling, names something below the folder that it is joined to.

    No `..`, no beginning at a root, a drive or a network share, no control characters. The disk is not touched: on
    Windows a look at `//host/share` alone tells that host who is logged in here.
    """
    parts = PureWindowsPath(path)  # takes both kinds of slash for separators
    return bool(path) and not parts.anchor and ".." not in parts.parts and not _CONTROL.search(path)


def is_device_name(name: str) -> bool:
    """Whether Windows takes a file of this name for a device, with or without an ending."""
    return _DEVICE.fullmatch(name) is not None


def is_network_path(path: str) -> bool:
    """Whether a path names a network share as Windows spells it: `//host/share`."""
    return PureWindowsPath(path).drive.startswith("\\\\")


def inside(folder: Path, relative: str) -> Path:
    """The path `relative` below `folder`, with links followed.

    Raises StudioError for a name that leaves the folder, by `..`, as an absolute path or through a link.
    """
    if not is_plain(relative):
        raise _refusal("disk.outside", relative)
    try:
        path = (folder / relative).resolve()
        leads_out = not path.is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:  # links in a circle
        raise _refusal("disk.outside", relative) from error
    if leads_out:
        raise _refusal("disk.outside", relative)
    return path


def file_inside(folder: Path, relative: str, *kinds: FileKind) -> Path:
    """The file `relative` below `folder`, which must be of one of these kinds by its name and by its content.

    Raises StudioError as `inside` does, for what is no file or cannot be read, and for a file of another kind.
    """
    path = inside(folder, relative)
    try:
        if not path.is_file():  # opening a pipe or a device could wait for ever
            raise _refusal("disk.unreadable", relative)
        with path.open("rb") as file:
            beginning = file.read(SIGNATURE_BYTES)
    except OSError as error:
        raise _refusal("disk.unreadable", relative) from error
    if not any(path.suffix.lower() == kind.suffix and kind.signature.match(beginning) for kind in kinds):
        raise StudioError("disk.other_kind", path=_shown(relative), kinds=", ".join(kind.suffix for kind in kinds))
    return path


def _refusal(key: str, relative: str) -> StudioError:
    return StudioError(key, path=_shown(relative))


def _shown(relative: str) -> str:
    return _CONTROL.sub("", relative)[:SHOWN_CHARACTERS]
