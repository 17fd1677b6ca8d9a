"""A project's drawings and captions in SQLite: the only code that touches captions.db (no torch)."""

from ksh_studio.catalogue.database import bare, check_foreign, tidy
from ksh_studio.catalogue.rows import By, CaptionConflict, Drawing, NewDrawing, Page, Revision, Seen, Shown, Source
from ksh_studio.catalogue.store import Catalogue

__all__ = [
    "By",
    "CaptionConflict",
    "Catalogue",
    "Drawing",
    "NewDrawing",
    "Page",
    "Revision",
    "Seen",
    "Shown",
    "Source",
    "bare",
    "check_foreign",
    "tidy",
]
