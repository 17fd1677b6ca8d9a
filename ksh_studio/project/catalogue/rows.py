"""The records that the catalogue reads and writes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ksh_studio.errors import StudioError
from ksh_studio.project.workspace import Project

Source = Literal["", "person", "captioner", "file"]
Filter = Literal["all", "empty", "captioned", "auto", "person", "file", "excluded"]


@dataclass(frozen=True)
class NewDrawing:
    """A drawing to be added, whose picture is already on disk."""

    id: str
    """First 16 hex digits of the original file's SHA-256."""
    original_name: str
    source_path: str
    """Inside the imported folder or zip, POSIX style."""
    width: int
    height: int
    """Width and height are the copy's, in pixels."""
    file_sha256: str
    """Hash of the artist's own file."""
    pixel_sha256: str
    """Hash of the copy's size and RGB bytes: the key for everything computed from the picture."""
    flags: tuple[str, ...] = ()
    """What was done to it, sorted: "alpha", "animated", "deep", "cmyk", "colour_profile", "turned", "reduced"."""

    def path(self, project: Project) -> Path:
        """Its upright RGB copy, a lossless WebP."""
        return project.drawings / f"{self.id}.webp"

    def thumb(self, project: Project) -> Path:
        """Its 256 px copy."""
        return project.thumbs / f"{self.id}.webp"


@dataclass(frozen=True)
class Drawing(NewDrawing):
    """A drawing with its current caption."""

    caption: str = ""
    """Without the trigger."""
    revision: int = 0
    """Number of the current caption; 0: none yet. Each number belongs to one text for ever."""
    source: Source = ""
    author: str = ""
    """The captioner's name, or the name of the file that the caption came from."""
    settings: str = "{}"
    """The captioner's settings as JSON."""
    excluded: bool = False


@dataclass(frozen=True)
class Revision:
    """One caption a drawing has or had."""

    revision: int
    caption: str
    source: Source
    author: str
    time: float
    """Unix seconds."""


@dataclass(frozen=True)
class Page:
    """Some rows of a list, and the length of the whole list."""

    total: int
    rows: list[Drawing]


@dataclass(frozen=True)
class Seen:
    """A file of an imported folder or zip and the drawing that its content is."""

    path: str
    file_sha256: str
    drawing: str


@dataclass(frozen=True)
class By:
    """Who wrote a caption: a person, a captioner by name and settings, or a file by its name."""

    source: Source = "person"
    author: str = ""
    settings: dict[str, Any] | None = None

    @property
    def settings_json(self) -> str:
        """The settings as text that is the same for the same settings."""
        return json.dumps(self.settings or {}, sort_keys=True, ensure_ascii=False)


class CaptionConflict(StudioError):
    """Somebody else changed the caption since it was read; carries both texts."""

    def __init__(self, drawing: Drawing, mine: str) -> None:
        super().__init__("captions.conflict", name=drawing.original_name, theirs=drawing.caption, mine=mine)
        self.drawing = drawing
        """As it is now."""
        self.mine = mine
