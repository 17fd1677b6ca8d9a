"""Paths from outside: those of files and requests stay inside their folder, those of a person are understood."""

import re
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

from ksh_studio.errors import StudioError

SIGNATURE_BYTES = 64
"""So much of a file's beginning tells its kind."""
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)\d)(\..*)?", re.IGNORECASE)
SHOWN_CHARACTERS = 200
_BESIDE_A_PATH = (
    " \t\r\n\N{NO-BREAK SPACE}\N{LEFT-TO-RIGHT EMBEDDING}\N{POP DIRECTIONAL FORMATTING}\N{ZERO WIDTH NO-BREAK SPACE}"
)
"""What comes along when a path is copied; Windows puts a direction mark before it."""
_QUOTES = (('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"), ("«", "»"), ("<", ">"))


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
    """Whether a path names a network share as Windows spells it: `//host/share`, also as `typed_path` reads it."""
    return any(PureWindowsPath(spelling).drive.startswith("\\\\") for spelling in [path, *_spellings(path)])


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


def typed_path(text: str) -> Path:
    """The absolute path that a person means who typed or pasted `text`.

    Quotes around it (Windows: Copy as path; a file dragged into a terminal), `file://`, `~`, percent escapes, escaped
    spaces and spaces at its ends are taken off, unless something is there whose name is spelt so.
    """
    spellings = _spellings(text)
    paths = [_absolute(spelling) for spelling in [text, *spellings]]
    return next((path for path in paths if _is_there(path)), _absolute(spellings[0]))


def _spellings(text: str) -> list[str]:
    """The paths that may be meant by what was typed, the likeliest first."""
    plain = text.strip(_BESIDE_A_PATH)
    for opening, closing in _QUOTES:
        if len(plain) > 1 and plain.startswith(opening) and plain.endswith(closing):
            plain = plain[1:-1].strip(_BESIDE_A_PATH)
    if not plain.lower().startswith("file:"):
        return [plain, plain.replace("\\ ", " "), unquote(plain)]
    address = urlsplit(plain)
    host = "" if address.netloc.lower() in ("", "localhost") else f"//{address.netloc}"
    return [url2pathname(host + quote(unquote(address.path)))]


def _absolute(path: str) -> Path:
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:  # the home of a user that this system does not have
        return Path(path).absolute()


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def _refusal(key: str, relative: str) -> StudioError:
    return StudioError(key, path=_shown(relative))


def _shown(relative: str) -> str:
    return _CONTROL.sub("", relative)[:SHOWN_CHARACTERS]
