"""The Generate tab: a prompt becomes pictures; every picture is on disk with its recipe before it is shown."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from ksh_studio.config import Sampler
from ksh_studio.generation.sampler_menu import schedules_of
from ksh_studio.ui.access.guard import filling, guarded
from ksh_studio.ui.access.roles import Action
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.generate.busy_device import build_instead
from ksh_studio.ui.generate.form import build_others, build_prompts, build_style
from ksh_studio.ui.generate.generating import (
    Generating,
    generate,
    pause_and_draw,
    preview_instead,
    stop_generating,
)
from ksh_studio.ui.generate.project_contents import ProjectContents, contents_of
from ksh_studio.ui.generate.prompts import explain_prompts, insert_trigger
from ksh_studio.ui.generate.recipe_panel import build_recipe_panel
from ksh_studio.ui.parts.form import Form, form_inputs
from ksh_studio.ui.parts.languages import page_text, script
from ksh_studio.ui.parts.outputs import QUIET, in_order
from ksh_studio.ui.parts.theme import html

DRAWING: dict[str, Any] = {
    "api_name": "generate",
    "concurrency_id": "gpu",
    "concurrency_limit": 1,
    "show_progress": "hidden",
}
"""One picture at a time on the GPU; the others wait in the queue."""
DRAWING_FOR_THE_PAGE: dict[str, Any] = {
    "api_visibility": "private",
    **{name: value for name, value in DRAWING.items() if name != "api_name"},
}


@dataclass(frozen=True)
class GenerateTab:
    """What `app.py` wires to other tabs."""

    form: Form
    project: ProjectContents
    """The components that depend on the project."""
    restricted: list[tuple[gr.blocks.Block, Action]]
    drawing: Generating
    """What `show_busy` fills."""
    busy_shown: gr.State
    """Whether the page says that the device is at work."""


def build(studio: Studio, slug: gr.Textbox) -> GenerateTab:
    """Build the tab's components and events."""
    gr.Markdown(page_text("generate_tab.intro"), elem_classes="ksh-intro")
    with gr.Row(elem_classes="ksh-columns"):
        with gr.Column(scale=5, min_width=320):
            form = build_prompts()
            with gr.Row(elem_classes="ksh-actions"):
                start = gr.Button(page_text("generate_tab.generate"), variant="primary", elem_id="generate-go")
                stop = gr.Button(page_text("ui.stop"), variant="stop", elem_id="generate-stop")
                insert = gr.Button(page_text("generate_tab.insert_trigger"), elem_id="insert-trigger")
            explanation = html("generate-understood")
            form |= build_style()
            with gr.Accordion(page_text("ui.settings"), open=False, elem_id="generate-settings"):
                form |= build_others()
        with gr.Column(scale=6, min_width=320):
            status = html("generate-status")
            instead = build_instead()
            pictures = html("generate-gallery", js_on_load=script("pick.js"))
            restricted = build_recipe_panel(studio, slug, form, pictures)

    drawing = Generating(status, pictures, instead)
    settings = form_inputs(form)
    draw = filling(studio, "generate", generate, drawing)
    start.click(inputs=slug, inputs_kwargs=settings, **draw, **DRAWING)
    pause = filling(studio, "train", pause_and_draw, drawing)
    instead.pause.click(inputs=slug, inputs_kwargs=settings, **pause, **DRAWING_FOR_THE_PAGE)
    preview = filling(studio, "train", preview_instead, drawing)
    instead.preview.click(inputs=form["prompt"], **preview, **QUIET)
    stop.click(guarded(studio, "generate", stop_generating), None, None, **QUIET)
    _connect_form(studio, slug, form, explanation, insert)
    return GenerateTab(form, contents_of(form, pictures), restricted, drawing, instead.offered)


def _connect_form(studio: Studio, slug: gr.Textbox, form: Form, explanation: gr.HTML, insert: gr.Button) -> None:
    """What typing a prompt, the trigger's button and choosing a sampler do."""
    prompt, negative_prompt, sampler = form["prompt"], form["negative_prompt"], form["sampler"]
    insert.click(inputs=[slug, prompt], **filling(studio, "generate", insert_trigger, prompt), **QUIET)
    explain = filling(studio, "generate", explain_prompts, explanation)
    gr.on(
        [prompt.change, negative_prompt.change],
        inputs=[prompt, negative_prompt],
        **explain,
        **in_order("explanation"),
    )
    sampler.input(inputs=sampler, **filling(studio, "look", show_schedules, form["schedule"]), **QUIET)


def show_schedules(visit: Visit, sampler: Sampler) -> gr.Dropdown:
    """Only the schedules that the sampler can have."""
    return gr.Dropdown(choices=list(schedules_of(sampler)), value="Automatic")
