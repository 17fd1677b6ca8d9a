"""What else can be done with the LoRA files of a training: train on from one, merge several, push one to the Hub."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from ksh_studio.ui.access.guard import guarded
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.form import Form
from ksh_studio.ui.parts.languages import t
from ksh_studio.ui.parts.theme import html
from ksh_studio.ui.train.actions import lora_of, steps_of
from ksh_studio.ui.train.merge import merge_picked
from ksh_studio.ui.train.publish import Push, build_push, wire_push
from ksh_studio.ui.train.shown_job import wanted_job

QUIET: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
TAKEN_OVER = ("rank", "lora_alpha", "target_modules")
"""Left open in a training that goes on from a LoRA: they come from its file."""


@dataclass(frozen=True)
class More:
    """The accordion and what it asks for."""

    picked: gr.CheckboxGroup
    """Steps whose LoRA files are meant; none: the recommended one."""
    onward: gr.Button
    merge: gr.Button
    said: gr.HTML
    push: Push


def build_more() -> More:
    """The components, inside a closed accordion."""
    picked = gr.CheckboxGroup([], label=t("train_tab.picked"), info=t("train_tab.picked_info"), elem_id="train-picked")
    with gr.Row(elem_classes="ksh-actions"):
        onward = gr.Button(t("train_tab.onward"), elem_id="train-onward")
        merge = gr.Button(t("train_tab.merge"), elem_id="train-merge")
    said = html("train-merged")
    gr.Markdown(t("train_tab.push"), elem_classes="ksh-group")
    return More(picked, onward, merge, said, build_push())


def wire_more(studio: Studio, more: More, of_job: list[gr.components.Component], form: Form, settings: Any) -> None:
    """What its buttons do. settings: the accordion of a new training, which is opened."""
    filled = [form["init_lora"], form["adapter"], *(form[name] for name in TAKEN_OVER), settings]
    onward = guarded(studio, "train", train_on)
    more.onward.click(onward, [*of_job, more.picked], filled, **QUIET)
    asked = {"api_visibility": "private", "show_progress": "minimal"}
    more.merge.click(guarded(studio, "train", merge_picked), [*of_job, more.picked], more.said, **asked)
    wire_push(studio, more.push, [*of_job, more.picked])


def train_on(visit: Visit, slug: str, chosen: str, picked: list[int] | None) -> list[Any]:
    """The settings of a new training begin with the LoRA of the first step picked."""
    path = lora_of(visit, slug, chosen, next(iter(steps_of(picked)), None))
    adapter = wanted_job(visit, slug, chosen).file.settings.get("adapter", "lora")
    return [path, adapter, "", "", "auto", gr.update(open=True)]
