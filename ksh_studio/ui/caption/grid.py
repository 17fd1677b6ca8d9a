"""The grid's two calls: a page of drawings, and one caption saved, against the catalogue."""

from typing import TypedDict, TypeVar

from pydantic import StrictInt, StrictStr, TypeAdapter, ValidationError

from ksh_studio.errors import StudioError
from ksh_studio.project.catalogue import CaptionConflict, Catalogue, Drawing
from ksh_studio.project.catalogue.counting import require_catalogue
from ksh_studio.project.catalogue.rows import Filter
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.drafts import draft_place

MOST_ROWS = 200
MOST_CHARACTERS = 4000
_ROWS_CALL = TypeAdapter(tuple[StrictStr, StrictStr, Filter, StrictInt, StrictInt])
_SAVE_CALL = TypeAdapter(tuple[StrictStr, StrictStr, StrictStr, StrictInt])
C = TypeVar("C")


class Row(TypedDict):
    """One drawing, as `assets/js/grid.js` shows it."""

    id: str
    name: str
    caption: str
    revision: int
    source: str
    editable: bool


class Rows(TypedDict):
    """One page of the drawings that match."""

    total: int
    rows: list[Row]
    place: str
    """Where the browser keeps captions of this project that are not saved yet."""


class Saved(TypedDict):
    """A drawing after a caption was saved, or as it is now where somebody else had changed it meanwhile."""

    conflict: bool
    row: Row


def ksh_rows(visit: Visit, call: object) -> Rows:
    """`[project, search, filter, start, count]`: one page of the drawings that match."""
    slug, search, which, start, count = _parsed(_ROWS_CALL, call)
    project = visit.project(slug)
    require_catalogue(project)
    if not project.captions_db.is_file():
        return {"total": 0, "rows": [], "place": draft_place(project)}
    with Catalogue(project) as catalogue:
        page = catalogue.page(start, min(max(0, count), MOST_ROWS), search, which)
    rows = [_row(drawing, visit) for drawing in page.rows]
    return {"total": page.total, "rows": rows, "place": draft_place(project)}


def ksh_save(visit: Visit, call: object) -> Saved:
    """`[project, drawing, caption, revision]`: the caption is saved, unless it was changed since that revision."""
    slug, drawing, caption, revision = _parsed(_SAVE_CALL, call)
    if len(caption) > MOST_CHARACTERS:
        raise StudioError("caption_tab.too_long", limit=MOST_CHARACTERS)
    project = visit.project(slug)
    if not project.captions_db.is_file():
        raise StudioError("caption_tab.bad_call")
    with Catalogue(project) as catalogue:
        try:
            saved = catalogue.save_caption(drawing, caption, expected=revision)
            return {"conflict": False, "row": _row(saved, visit)}
        except CaptionConflict as conflict:
            return {"conflict": True, "row": _row(conflict.drawing, visit)}


def _parsed(kind: TypeAdapter[C], call: object) -> C:
    """Raises StudioError for a call that the page does not make."""
    try:
        return kind.validate_python(call)
    except ValidationError as error:
        raise StudioError("caption_tab.bad_call") from error


def _row(drawing: Drawing, visit: Visit) -> Row:
    return {
        "id": drawing.id,
        "name": drawing.original_name,
        "caption": drawing.caption,
        "revision": drawing.revision,
        "source": drawing.source,
        "editable": visit.may("edit_captions"),
    }
