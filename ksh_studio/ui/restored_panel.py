"""The question above the tabs of a restored project: may it use what its backup names outside of it?"""

from dataclasses import dataclass

import gradio as gr

from ksh_studio.locales import translate
from ksh_studio.project.set_aside import MODELS, allow, decline, read_set_aside
from ksh_studio.ui.access.guard import filling
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.form import Form, form_values
from ksh_studio.ui.parts.languages import page_text
from ksh_studio.ui.parts.markup import note
from ksh_studio.ui.parts.outputs import QUIET, UNCHANGED, Unchanged, Update, visible
from ksh_studio.ui.parts.theme import html


@dataclass(frozen=True)
class RestoredPanel:
    """The question with its two answers: the components, and what is shown in them."""

    row: gr.Row | Update
    question: gr.HTML | str
    models: Form | dict[str, object] | Unchanged = UNCHANGED
    """The settings of the project that may have been set aside, by name."""


def build_restored_panel(studio: Studio, slug: gr.Textbox, settings: Form) -> RestoredPanel:
    """Build it, hidden; `app.py` shows it when the project or the language changes. settings: of the project."""
    with gr.Row(visible=False, elem_id="restored-panel") as row:
        question = html("restored-question")
        use = gr.Button(page_text("ui.allow_restored"), elem_id="allow-restored", min_width=110, scale=0)
        leave = gr.Button(page_text("ui.decline_restored"), elem_id="decline-restored", min_width=140, scale=0)
    panel = RestoredPanel(row, question, {name: settings[name] for name in MODELS})
    use.click(inputs=slug, **filling(studio, "settings", allow_restored, panel), **QUIET)
    leave.click(inputs=slug, **filling(studio, "settings", decline_restored, panel), **QUIET)
    return panel


def show_restored(visit: Visit, slug: str) -> RestoredPanel:
    """The question, where there is one and this visitor may answer it."""
    kept = read_set_aside(visit.project(slug)) if slug and visit.may("settings") else None
    if kept is None or kept.declined:
        return RestoredPanel(visible(False), "")
    text = translate("backup.set_aside", visit.language, names=kept.names())
    return RestoredPanel(visible(True), note(text, "warn"))


def allow_restored(visit: Visit, slug: str) -> RestoredPanel:
    """The project may use what its backup names."""
    project = visit.project(slug)
    allow(project)
    return RestoredPanel(visible(False), "", form_values(project.settings(), MODELS))


def decline_restored(visit: Visit, slug: str) -> RestoredPanel:
    """The project does without."""
    decline(visit.project(slug))
    return RestoredPanel(visible(False), "")
