"""The Train tab: what it will take, start and queue, the job live, its previews, and which checkpoint to use."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from ksh_studio.config import MAX_PROMPT_CHARACTERS
from ksh_studio.ui.access.guard import guarded
from ksh_studio.ui.access.roles import Action
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.parts.form import Form
from ksh_studio.ui.parts.languages import script, t
from ksh_studio.ui.parts.theme import html
from ksh_studio.ui.train.actions import choose, end_now, go_on, halt, preview_now, rest, show_folder, train
from ksh_studio.ui.train.files import More, build_more, wire_more
from ksh_studio.ui.train.plan import check_first, show_plan
from ksh_studio.ui.train.queue import line_up, take_out
from ksh_studio.ui.train.settings import OPEN, TOUCHED, fill, preset_radio, settings_form
from ksh_studio.ui.train.watch import PARTS, poll

QUIET: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
Parts = dict[str, gr.blocks.Block]


@dataclass(frozen=True)
class TrainTab:
    """What `app.py` wires to other tabs."""

    use: gr.Button
    """Use the recommended LoRA in Generate."""
    files: gr.HTML
    """Its `select` names the step whose LoRA is to be used."""
    chosen: gr.Textbox
    """Id of the job that was picked among the earlier ones; empty: the one that works, else the newest."""
    restricted: list[tuple[gr.blocks.Block, Action]]
    plan: list[gr.components.Component]
    """What `show_plan` fills."""
    preset: gr.Radio
    checked: gr.Textbox
    """Changes when a check has ended."""
    form: Form


def build(studio: Studio, slug: gr.Textbox, timer: gr.Timer) -> TrainTab:
    """Build the tab's components and events."""
    gr.Markdown(t("train_tab.intro"), elem_classes="ksh-intro")
    chosen = gr.Textbox(visible="hidden", elem_id="train-job", label="job", container=False)
    started = gr.Textbox(visible="hidden", elem_id="train-started", label="started", container=False)
    checked = gr.Textbox(visible="hidden", elem_id="train-checked", label="checked", container=False)
    parts: Parts = {"checked": checked}
    with gr.Accordion(t("train_tab.new"), open=True, elem_id="train-new") as parts["settings"]:
        preset = preset_radio()
        with gr.Accordion(t("ui.settings"), open=False, elem_id="train-settings"):
            form = settings_form()
        plan = html("train-plan")
        _to_begin(parts)
    parts["queue"] = html("train-queue", js_on_load=script("pick.js"))
    asked, now, more = _the_job(parts)

    planned = [plan, *(form[name] for name in OPEN)]
    _begin(studio, parts, (slug, preset, started, form, planned))
    # the newest is shown again, whichever was looked at before
    started.change(None, None, chosen, js="() => ''", **QUIET)
    preset.input(guarded(studio, "look", fill), [slug, preset], [form[name] for name in TOUCHED], **QUIET)
    _watch(studio, parts, (slug, chosen, asked, now))
    wire_more(studio, more, [slug, chosen], form, parts["settings"])
    shown = [parts[name] for name in PARTS]
    seen = gr.State({})
    timer.tick(guarded(studio, "look", poll), [slug, chosen, seen], [seen, *shown], **QUIET)
    restricted: list[tuple[gr.blocks.Block, Action]] = [(parts["settings"], "train"), (parts["start"], "train")]
    return TrainTab(parts["use"], parts["files"], chosen, restricted, planned, preset, checked, form)


def _to_begin(parts: Parts) -> None:
    """The buttons under the plan."""
    parts["checking"] = html("train-checking")
    with gr.Row(elem_classes="ksh-actions"):
        parts["start"] = gr.Button(t("train_tab.start"), variant="primary", elem_id="train-start")
        parts["later"] = gr.Button(t("train_tab.later"), variant="primary", elem_id="train-later", visible=False)
        parts["check"] = gr.Button(t("train_tab.check"), elem_id="train-check")


def _the_job(parts: Parts) -> tuple[gr.Textbox, gr.Button, More]:
    """The job that is shown, from its state to its files; returns what "Preview now" and "More" are made of."""
    parts["status"] = html("train-status")
    with gr.Row(elem_classes="ksh-actions"):
        parts["pause"] = gr.Button(t("train_tab.pause"), elem_id="train-pause", visible=False)
        parts["resume"] = gr.Button(t("train_tab.resume"), variant="primary", elem_id="train-resume", visible=False)
        parts["stop"] = gr.Button(t("ui.stop"), variant="stop", elem_id="train-stop", visible=False)
        parts["kill"] = gr.Button(t("train_tab.kill"), variant="stop", elem_id="train-kill", visible=False)
    parts["chart"] = html("train-chart")
    with gr.Row(elem_classes="ksh-actions ksh-ask", visible=False) as parts["ask"]:
        asked = gr.Textbox(
            label=t("train_tab.ask"), info=t("train_tab.ask_info"), max_length=MAX_PROMPT_CHARACTERS, scale=4,
            elem_id="train-ask",
        )  # fmt: skip
        now = gr.Button(t("train_tab.preview_now"), elem_id="train-preview-now", scale=0)
    parts["choice"] = html("train-choice", js_on_load=script("previews.js"))
    with gr.Row(elem_classes="ksh-actions"):
        parts["use"] = gr.Button(t("train_tab.use_this"), variant="primary", elem_id="train-use", visible=False)
        parts["show"] = gr.Button(t("ui.open_folder"), elem_id="train-open-folder", visible=False)
    parts["previews"] = html("train-previews", js_on_load=script("previews.js"))
    parts["files"] = html("train-files", js_on_load=script("pick.js"))
    with gr.Accordion(t("train_tab.more"), open=False, visible=False, elem_id="train-more") as parts["more"]:
        more = build_more()
    parts["picked"] = more.picked
    parts["past"] = gr.Dropdown(label=t("train_tab.past"), elem_id="train-past", visible=False, filterable=False)
    return asked, now, more


def _begin(
    studio: Studio, parts: Parts, wires: tuple[gr.Textbox, gr.Radio, gr.Textbox, Form, list[gr.components.Component]]
) -> None:
    """What the settings and the buttons under them do."""
    slug, preset, started, form, planned = wires
    begin = guarded(studio, "train", train)
    parts["start"].click(begin, slug, started, inputs_kwargs=form, api_name="train", queue=False)
    parts["later"].click(guarded(studio, "train", line_up), slug, None, inputs_kwargs=form, **QUIET)
    parts["check"].click(guarded(studio, "train", check_first), slug, None, inputs_kwargs=form, **QUIET)
    parts["queue"].select(guarded(studio, "train", take_out), None, None, **QUIET)
    changes = [*(component.change for component in form.values()), parts["checked"].change]
    explain = guarded(studio, "look", show_plan)
    gr.on(changes, explain, [slug, preset], planned, inputs_kwargs=form, trigger_mode="always_last", **QUIET)


def _watch(studio: Studio, parts: Parts, wires: tuple[gr.Textbox, gr.Textbox, gr.Textbox, gr.Button]) -> None:
    """What the buttons of a job do."""
    slug, chosen, asked, now = wires
    of_job = [slug, chosen]
    parts["stop"].click(guarded(studio, "train", halt), of_job, None, **QUIET)
    parts["pause"].click(guarded(studio, "train", rest), of_job, None, **QUIET)
    parts["kill"].click(guarded(studio, "train", end_now), of_job, None, **QUIET)
    parts["resume"].click(guarded(studio, "train", go_on), of_job, None, **QUIET)
    parts["show"].click(guarded(studio, "open_folder", show_folder), of_job, None, **QUIET)
    parts["past"].input(guarded(studio, "look", choose), [slug, parts["past"]], chosen, **QUIET)
    gr.on([now.click, asked.submit], guarded(studio, "train", preview_now), [*of_job, asked], None, **QUIET)
