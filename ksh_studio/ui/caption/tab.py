"""The Caption tab: drawings come in, captions are written and edited beside them, and both go out again."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from ksh_studio.ui.access.guard import filling, guarded, guarded_call
from ksh_studio.ui.access.roles import Action
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.updates import errors_in_place
from ksh_studio.ui.caption.captioning import build_captioning, caption, stop_captioning, undo_caption_change
from ksh_studio.ui.caption.export_panel import build_export_panel
from ksh_studio.ui.caption.first_steps import UNKNOWN, FirstSteps
from ksh_studio.ui.caption.grid import ksh_rows, ksh_save
from ksh_studio.ui.caption.import_panel import build_import_panel
from ksh_studio.ui.caption.settings import build_settings
from ksh_studio.ui.caption.watch import CaptionTabParts, poll
from ksh_studio.ui.parts.form import Form, form_inputs
from ksh_studio.ui.parts.languages import json_texts, page_text, script
from ksh_studio.ui.parts.outputs import QUIET, News
from ksh_studio.ui.parts.theme import html

FILTERS = ("all", "empty", "auto", "file", "person")
"""Which drawings the grid can be narrowed to."""


@dataclass(frozen=True)
class CaptionTab:
    """What `app.py` wires to other tabs."""

    restricted: list[tuple[gr.blocks.Block, Action]]
    stamp: gr.Textbox
    """Changes whenever drawings or captions do."""
    state: gr.Textbox
    """Changes when the first drawing or the first caption has come."""
    form: Form
    import_folder: gr.Textbox
    first: FirstSteps
    """What `show_first_steps` fills."""
    next_stage: gr.Button
    """Leads to the Train tab; one of the components of `first`."""


def build(studio: Studio, slug: gr.Textbox, changes: gr.HTML, messages: gr.HTML) -> CaptionTab:
    """Build the tab's components and events."""
    gr.Markdown(page_text("caption_tab.intro"), elem_classes="ksh-intro")
    steps = html("first-steps", value=UNKNOWN)
    importing = build_import_panel(studio, slug)
    with gr.Column(elem_id="caption-contents"):
        captioning, undo = build_captioning()
        with gr.Accordion(page_text("ui.settings"), open=False, elem_id="caption-settings") as settings:
            form = build_settings(studio)
        search, which = _build_grid(studio)
        export_row, exporting = build_export_panel(studio, slug)
        with gr.Row(elem_classes="ksh-next"):
            next_stage = gr.Button(page_text("ui.next_train"), variant="primary", elem_id="caption-next", visible=False)
    parts = CaptionTabParts(captioning, importing.job, exporting)
    seen = gr.State({})

    start_options: dict[str, Any] = {"api_name": "caption", "queue": False, "show_progress": "hidden"}
    captioning.start.click(
        inputs=slug,
        inputs_kwargs=form_inputs(form),
        **filling(studio, "caption", caption, captioning.status),
        **start_options,
    )
    captioning.stop.click(guarded(studio, "stop_captioning", stop_captioning), slug, None, **QUIET)
    undone = undo.click(inputs=slug, **filling(studio, "edit_captions", undo_caption_change, messages), **QUIET)
    watched = errors_in_place(poll, lambda error: {"captioning": {"status": error}})
    changes.tick(inputs=[slug, seen], **filling(studio, "look", watched, News(seen, parts)), **QUIET)
    show_grid: dict[str, Any] = {"js": script("show_grid.js"), **QUIET}
    triggers = [slug.change, captioning.stamp.change, search.change, which.change]
    gr.on(triggers, None, [slug, search, which], None, **show_grid)
    undone.then(None, [slug, search, which], None, **show_grid)
    captioning.state.change(None, captioning.state, None, js=script("state.js"), **QUIET)
    restricted: list[tuple[gr.blocks.Block, Action]] = [
        (importing.zone, "import"), (importing.by_path, "server_path"),
        (captioning.start, "caption"), (undo, "edit_captions"), (settings, "caption"), (export_row, "export"),
    ]  # fmt: skip
    first = FirstSteps(steps, next_stage)
    return CaptionTab(restricted, captioning.stamp, captioning.state, form, importing.folder, first, next_stage)


def _build_grid(studio: Studio) -> tuple[gr.Textbox, gr.Radio]:
    """The drawings with their captions; returns the search and the filter that narrow them down."""
    with gr.Row(elem_classes="ksh-search"):
        search = gr.Textbox(label=page_text("caption_tab.search"), elem_id="caption-search", max_lines=1, min_width=280)
        choices = [(page_text(f"caption_tab.show_{name}"), name) for name in FILTERS]
        which = gr.Radio(
            choices, value="all", label=page_text("caption_tab.show"), elem_id="caption-show", min_width=300
        )
    gr.HTML(
        html_template=(
            '<div class="ksh-offers" role="status"></div>'
            '<div class="ksh-view"><div></div></div><p class="ksh-none" role="status"></p>'
        ),
        js_on_load=script("grid.js", texts=json_texts("caption_tab.grid_")),
        server_functions=[guarded_call(studio, "look", ksh_rows), guarded_call(studio, "edit_captions", ksh_save)],
        elem_id="caption-grid",
    )
    return search, which
