"""What else can be done with the LoRA files of a training: train on from one, merge several, publish one."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from ksh_studio.config import TrainConfig
from ksh_studio.marks import from_lora
from ksh_studio.ui.access.guard import filling
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.form import Field, Form, form_values
from ksh_studio.ui.parts.languages import page_text
from ksh_studio.ui.parts.outputs import QUIET, Update
from ksh_studio.ui.parts.theme import html
from ksh_studio.ui.train.actions import lora_of, ticked_steps
from ksh_studio.ui.train.layout import JobButtons
from ksh_studio.ui.train.merge import merge
from ksh_studio.ui.train.publish import PublishParts, build_publish, wire_publish
from ksh_studio.ui.train.settings import FORM
from ksh_studio.ui.train.shown_job import shown_job

FROM_THE_FILE = from_lora(TrainConfig)
"""Left open in a training that goes on from a LoRA: they come from its file."""
SHOW_THE_FORM = "() => document.querySelector('#train-new').scrollIntoView({behavior: 'smooth'})"


@dataclass(frozen=True)
class FileTools:
    """The inside of the accordion "More"."""

    steps: gr.CheckboxGroup
    """Steps whose LoRA files are meant; none: the recommended one."""
    train_on: gr.Button
    merge: gr.Button
    merged: gr.HTML
    publish: PublishParts


@dataclass(frozen=True)
class NewSettings:
    """The settings of a new training and the accordion around them: the components, and what is shown in them."""

    form: dict[str, Field] | dict[str, Any]
    accordion: gr.Accordion | Update


def build_file_tools() -> FileTools:
    """The components, inside a closed accordion."""
    steps = gr.CheckboxGroup(
        [],
        label=page_text("train_tab.step_choice"),
        info=page_text("train_tab.step_choice_info"),
        elem_id="train-steps",
    )
    with gr.Row(elem_classes="ksh-actions"):
        train_on = gr.Button(page_text("train_tab.train_on"), elem_id="train-on")
        merge = gr.Button(page_text("train_tab.merge"), elem_id="train-merge")
    merged = html("train-merged")
    gr.Markdown(page_text("train_tab.publish"), elem_classes="ksh-group")
    return FileTools(steps, train_on, merge, merged, build_publish())


def wire_file_tools(
    studio: Studio,
    tools: FileTools,
    buttons: JobButtons[gr.Button],
    of_job: list[gr.Textbox],
    form: Form,
    accordion: gr.Accordion,
) -> None:
    """What the buttons do. accordion: of a new training, which is opened."""
    of_files = [*of_job, tools.steps]
    places = NewSettings({name: form[name] for name in ("init_lora", "adapter", *FROM_THE_FILE)}, accordion)
    going_on = filling(studio, "train", train_on, places)
    again = filling(studio, "train", use_settings, NewSettings(dict(form), accordion))
    for filled in (
        tools.train_on.click(inputs=of_files, **going_on, **QUIET),
        buttons.train_on.click(inputs=of_job, **going_on, **QUIET),
        buttons.use_settings.click(inputs=of_job, **again, **QUIET),
    ):
        filled.success(None, None, None, js=SHOW_THE_FORM, **QUIET)
    merging = filling(studio, "train", merge, tools.merged)
    tools.merge.click(inputs=of_files, api_visibility="private", show_progress="minimal", **merging)
    wire_publish(studio, tools.publish, of_job, tools.steps)


def train_on(visit: Visit, slug: str, job_id: str, steps: list[int] | None = None) -> NewSettings:
    """The settings of a new training begin with the LoRA of the first step ticked, else of the recommended one."""
    path = lora_of(visit, slug, job_id, next(iter(ticked_steps(steps)), None))
    adapter = shown_job(visit, slug, job_id).file.settings.get("adapter", "lora")
    left_open = form_values(TrainConfig(), FROM_THE_FILE)
    return NewSettings({"init_lora": path, "adapter": adapter} | left_open, gr.update(open=True))


def use_settings(visit: Visit, slug: str, job_id: str) -> NewSettings:
    """The settings of a new training are those of the job that is shown, its open ones as they were filled in.

    Raises StudioError when its file holds no valid settings.
    """
    config = shown_job(visit, slug, job_id).file.config(TrainConfig)
    return NewSettings(form_values(config, FORM), gr.update(open=True))
