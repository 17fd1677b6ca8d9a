"""What each column of captions.db may hold: types and bounds, of a database from elsewhere and of every row read."""

import math
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from ksh_studio.config import MAX_PROMPT_CHARACTERS

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""An id of a drawing is the name of its files: plain letters, so that it names nothing else."""
MOST = 2**53
"""The largest number: the page's script and SQLite agree on it."""


@dataclass(frozen=True)
class Text:
    """Text of at most so many characters."""

    longest: int

    def holds(self, value: object) -> bool:
        """Whether this is such a text."""
        return isinstance(value, str) and len(value) <= self.longest and "\0" not in value


@dataclass(frozen=True)
class Id:
    """The id of a drawing."""

    def holds(self, value: object) -> bool:
        """Whether this is such an id."""
        return isinstance(value, str) and ID.fullmatch(value) is not None


@dataclass(frozen=True)
class Whole:
    """A whole number up to `most`."""

    least: int = 0
    most: int = MOST

    def holds(self, value: object) -> bool:
        """Whether this is such a number."""
        return isinstance(value, int) and self.least <= value <= self.most


@dataclass(frozen=True)
class Seconds:
    """Unix seconds, with a part of a second or without."""

    def holds(self, value: object) -> bool:
        """Whether this is such a number."""
        return isinstance(value, int | float) and math.isfinite(value) and 0 <= value <= MOST


Column = Text | Id | Whole | Seconds
_CAPTION = Text(3 * MAX_PROMPT_CHARACTERS)  # composing (NFC) may make three characters of one
_PATH = Text(70_000)  # a name in a zip has at most 65,535 bytes
_HASH, _NAME, _SETTINGS = Text(128), Text(5000), Text(100_000)

COLUMNS: dict[str, dict[str, Column]] = {
    "drawings": {
        "id": Id(), "original_name": _NAME, "source_path": _PATH, "width": Whole(1, 10**6), "height": Whole(1, 10**6),
        "file_sha256": _HASH, "pixel_sha256": _HASH, "flags": Text(500), "imported": Seconds(),
        "excluded": Whole(most=1), "revision": Whole(),
    },
    "captions": {
        "drawing": Id(), "revision": Whole(), "caption": _CAPTION, "source": Text(20), "author": _NAME,
        "settings": _SETTINGS, "time": Seconds(),
    },
    "edits": {
        "number": Whole(), "drawing": Id(), "before": Whole(), "after": Whole(), "undone": Whole(most=1),
    },
    "seen": {"root": _PATH, "path": _PATH, "file_sha256": _HASH, "drawing": Id()},
}  # fmt: skip
"""By table and column."""
_OF_A_DRAWING = COLUMNS["drawings"] | COLUMNS["captions"]


def all_sound(database: sqlite3.Connection) -> bool:
    """Whether every value of every table is as we write it. Raises sqlite3.OperationalError for what is no UTF-8."""
    for table, columns in COLUMNS.items():
        rows = database.execute(f"SELECT {', '.join(columns)} FROM {table}")
        if not all(_holds(columns, dict(zip(columns, row, strict=True))) for row in rows):
            return False
    return not database.execute("PRAGMA foreign_key_check").fetchall()


def is_sound(drawing: Mapping[str, object]) -> bool:
    """Whether a drawing with its caption, as the view `current` gives it, is as we write it."""
    return _holds(_OF_A_DRAWING, drawing)


def _holds(columns: Mapping[str, Column], values: Mapping[str, object]) -> bool:
    return all(columns[name].holds(value) for name, value in values.items())
