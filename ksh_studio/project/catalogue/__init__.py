"""A project's drawings and captions in SQLite: the only code that touches captions.db (no torch)."""

from ksh_studio.project.catalogue.database import bare, check_foreign, tidy
from ksh_studio.project.catalogue.rows import (
    By,
    CaptionConflict,
    Drawing,
    Filter,
    NewDrawing,
    Page,
    Revision,
    Seen,
    Source,
)
from ksh_studio.project.catalogue.store import Catalogue

__all__ = [
    "By",
    "CaptionConflict",
    "Catalogue",
    "Drawing",
    "Filter",
    "NewDrawing",
    "Page",
    "Revision",
    "Seen",
    "Source",
    "bare",
    "check_foreign",
    "tidy",
]
