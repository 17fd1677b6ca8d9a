"""What is typed on the page and not confirmed yet: kept in the browser, under a place that is the project's own."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from ksh_studio.project.workspace import Project
from ksh_studio.ui.parts.form import Field
from ksh_studio.ui.parts.outputs import QUIET

Event = Callable[..., Any]
"""What a component or another event of gradio has, such as `button.click` or `clicked.then`."""
Start = Literal["as built", "everywhere", "of the project", "kept by the studio"]


def draft_place(project: Project) -> str:
    """Where the browser keeps the project's drafts: `<workspace>/<project>`.

    Other workspaces may be served at the same address one after the other, and a slug may be given again after its
    project was deleted: neither gets a draft of the other.
    """
    return f"{_folder_id(project.workspace.root)}/{_folder_id(project.root)}"


def _folder_id(folder: Path) -> str:
    """Tells a folder from others that had its path before, without saying where it is."""
    return hashlib.sha256(f"{folder} {folder.stat().st_ino}".encode(errors="surrogateescape")).hexdigest()[:16]


def keep_form(
    name: str,
    form: Mapping[str, Field | gr.Radio],
    slug: gr.Textbox,
    opened: Event,
    start: Start = "as built",
) -> None:
    """What somebody types into these fields stands there again after a reload, until the form is as it came.

    form: the components by name, each with an `elem_id`.
    opened: the event at which the form is given what was kept.
    start: what it comes with. "as built": the values that the components were built with, for each project, or for all
    together ("everywhere"); "of the project": what the studio says; "kept by the studio": the same, and the studio
    keeps the form too.
    """
    parts = list(form.values())
    values = {field: part.value for field, part in form.items()} if start in ("as built", "everywhere") else None
    about = {
        "name": name,
        "fields": [(field, part.elem_id) for field, part in form.items()],
        "start": values,
        "server": start == "kept by the studio",
        "everywhere": start == "everywhere",
    }
    restore = f"(slug, ...current) => window.kshForms.restore({_in_script(about)}, slug, current)"
    opened(None, [slug, *parts], parts, js=restore, **QUIET)
    changed = f"(slug, ...current) => {{ window.kshForms.changed({_in_script(name)}, slug, current); return []; }}"
    gr.on([part.change for part in parts], None, [slug, *parts], None, js=changed, **QUIET)


def form_saved(name: str, form: Mapping[str, Field], slug: gr.Textbox, saved: Event) -> None:
    """At this event what stands in the form is saved: there is nothing left to keep."""
    js = f"(slug, ...current) => {{ window.kshForms.saved({_in_script(name)}, slug, current); return []; }}"
    saved(None, [slug, *form.values()], None, js=js, **QUIET)


def _in_script(value: object) -> str:
    """A value as it may stand inside a script."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
