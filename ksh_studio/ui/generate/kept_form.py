"""What stands in the Generate form is kept on the disk for each project and visitor, so that it stands there again.

The browser counts the changes of a form; the count is the form's revision. Of two forms the one with the higher count
is the newer, whether the browser or the disk has it: clocks, which differ between machines, are not asked.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, TypedDict

from pydantic import BaseModel, Field, StrictBool, StrictFloat, StrictInt, StrictStr, TypeAdapter, ValidationError

from ksh_studio.config import MAX_PROMPT_CHARACTERS, GenerateConfig
from ksh_studio.disk import write_text
from ksh_studio.errors import StudioError
from ksh_studio.project.workspace import Project
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.generate.form import FORM
from ksh_studio.ui.generate.lora_menu import suggested_lora
from ksh_studio.ui.generate.project_files import first_prompt
from ksh_studio.ui.parts.form import form_values

Text = Annotated[StrictStr, Field(max_length=MAX_PROMPT_CHARACTERS)]
Number = Annotated[StrictFloat, Field(allow_inf_nan=False)]
Value = Text | StrictBool | Annotated[StrictInt, Field(ge=-(2**53), le=2**53)] | Number | None
"""What a field of the form may hold."""
Revision = Annotated[StrictInt, Field(ge=0, le=2**53)]
MOST_GUESTS = 20
"""Forms of guests that are kept for a project; the oldest goes when there are more."""
_KEEP_CALL = TypeAdapter(tuple[StrictStr, Revision, dict[StrictStr, Value]])
_writing = Lock()
log = logging.getLogger(__name__)


class KeptForm(BaseModel):
    """A form as it is on the disk: its values by the setting's name."""

    revision: Revision = 0
    values: dict[StrictStr, Value] = {}


class Kept(TypedDict):
    """Whether the form was kept, and the revision that is on the disk now."""

    kept: bool
    revision: int


def first_form(visit: Visit, project: Project) -> dict[str, Any]:
    """What a form holds for which nothing was kept: a prompt of the project, its recommended LoRA, the defaults."""
    suggestion = {"prompt": first_prompt(project), "lora": suggested_lora(visit, project)}
    return form_values(GenerateConfig(), FORM) | suggestion


def ksh_keep_form(visit: Visit, call: object) -> Kept:
    """`[project, revision, values]`: the form is written to the disk, unless a newer one is there."""
    try:
        slug, revision, values = _KEEP_CALL.validate_python(call)
    except ValidationError as error:
        raise StudioError("caption_tab.bad_call") from error
    project = visit.project(slug)
    target = project.generate_form(visit.guest)
    form = KeptForm(revision=revision, values={name: value for name, value in values.items() if name in FORM})
    with _writing:
        before = kept_form(target)
        if before is not None and before.revision > revision:
            return {"kept": False, "revision": before.revision}
        if before != form:
            write_text(target, form.model_dump_json(indent=2))
            _delete_oldest(path for path in target.parent.glob("*.json") if path != project.generate_form())
    return {"kept": True, "revision": revision}


def kept_form(path: Path) -> KeptForm | None:
    """The form in this file; None when there is none, or none that can be read: the next one is written over it."""
    try:
        return KeptForm.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("%s: %s", path, error)
        return None


def _delete_oldest(forms: Iterable[Path]) -> None:
    newest_first = sorted(forms, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in newest_first[MOST_GUESTS:]:
        path.unlink(missing_ok=True)
