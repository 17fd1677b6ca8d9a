"""The grid's two calls: a page of drawings, and one caption saved, against the catalogue."""

from typing import Any

from ksh_studio.errors import StudioError
from ksh_studio.project.catalogue import CaptionConflict, Catalogue, Drawing
from ksh_studio.ui.access.visit import Visit

MOST_ROWS = 200
MOST_CHARACTERS = 4000


def ksh_rows(visit: Visit, asked: Any) -> dict[str, Any]:
    """`[project, words, which, start, count]` → `{total, rows}`: one page of the drawings that match."""
    slug, words, which, start, count = _arguments(asked, (str, str, str, int, int))
    project = visit.project(slug)
    if not project.captions_db.is_file():
        return {"total": 0, "rows": []}
    with Catalogue(project) as catalogue:
        page = catalogue.page(start, min(max(0, count), MOST_ROWS), words, which)
    return {"total": page.total, "rows": [_row(drawing, visit) for drawing in page.rows]}


def ksh_save(visit: Visit, asked: Any) -> dict[str, Any]:
    """`[project, drawing, caption, revision]` → `{row, conflict}`; a caption changed elsewhere is not overwritten."""
    slug, name, caption, revision = _arguments(asked, (str, str, str, int))
    if len(caption) > MOST_CHARACTERS:
        raise StudioError("caption_tab.too_long", limit=MOST_CHARACTERS)
    project = visit.project(slug)
    if not project.captions_db.is_file():
        raise StudioError("caption_tab.bad_call")
    with Catalogue(project) as catalogue:
        try:
            return {"conflict": False, "row": _row(catalogue.save_caption(name, caption, expected=revision), visit)}
        except CaptionConflict as conflict:
            return {"conflict": True, "row": _row(conflict.drawing, visit)}


def _arguments(asked: Any, kinds: tuple[type, ...]) -> list[Any]:
    if not isinstance(asked, list) or len(asked) != len(kinds):
        raise StudioError("caption_tab.bad_call")
    if not all(isinstance(value, kind) for value, kind in zip(asked, kinds, strict=True)):
        raise StudioError("caption_tab.bad_call")
    return asked


def _row(drawing: Drawing, visit: Visit) -> dict[str, Any]:
    return {
        "id": drawing.id,
        "name": drawing.original_name,
        "caption": drawing.caption,
        "revision": drawing.revision,
        "source": drawing.source,
        "editable": visit.may("edit_captions"),
    }
