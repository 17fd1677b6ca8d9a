"""Names of exported drawings: their own, as far as every system and program can have them."""

import re
import unicodedata
from collections import Counter

from ksh_studio.drawings.file_kinds import file_reason, masks_among
from ksh_studio.paths import is_device_name
from ksh_studio.project.catalogue import Drawing

MOST_BYTES = 120
"""Of a name in UTF-8; systems allow 255, of which a program may need some for an ending of its own."""
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ufffd]+')
_ODD_BEGINNING = " .-=+@~_#"
"""Hidden files, options of commands, and what Excel takes for a formula begin so."""
_ID_DIGITS = 8


def export_stems(drawings: list[Drawing]) -> dict[str, str]:
    """The name without ending of each drawing's file, by the drawing's id.

    It is the name that the artist gave, without what Windows forbids; a part of the id follows where several would be
    called alike, and the id itself is the name where nothing is left of it.
    """
    stems = {drawing.id: _safe(drawing.original_name) or drawing.id for drawing in drawings}
    counts = Counter(_alike(stem) for stem in stems.values())
    stems = {id: f"{stem}-{id[:_ID_DIGITS]}" if counts[_alike(stem)] > 1 else stem for id, stem in stems.items()}
    counts = Counter(_alike(stem) for stem in stems.values())
    masks = masks_among([f"{stem}.webp" for stem in stems.values()])
    return {id: id if counts[_alike(stem)] > 1 or f"{stem}.webp" in masks else stem for id, stem in stems.items()}


def _safe(name: str) -> str:
    """The name without its ending and what no file may be called; empty when that leaves nothing of use."""
    stem = unicodedata.normalize("NFC", name).rpartition(".")[0] or name
    stem = _FORBIDDEN.sub("_", stem).lstrip(_ODD_BEGINNING)
    stem = stem.encode()[:MOST_BYTES].decode(errors="ignore").rstrip(" .")
    return "" if is_device_name(stem) or file_reason(f"{stem}.webp") else stem


def _alike(stem: str) -> str:
    """The same for names that some system takes for one."""
    return unicodedata.normalize("NFKC", stem).casefold()
