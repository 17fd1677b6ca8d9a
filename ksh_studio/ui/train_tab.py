"""The Train tab: settings with the real numbers, start, stop and resume, live loss, previews, and the LoRA."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from ksh_studio import jobs
from ksh_studio.config import TrainConfig
from ksh_studio.locales import StudioError, translate
from ksh_studio.models.registry import base_entry
from ksh_studio.presets import TRAIN_PRESETS
from ksh_studio.ui.access import Action, Studio, Visit
from ksh_studio.ui.counting import drawings_of
from ksh_studio.ui.form import Form, chosen_numbers, config_from, fields, form_values, open_fields
from ksh_studio.ui.guard import guarded
from ksh_studio.ui.languages import t
from ksh_studio.ui.look import html
from ksh_studio.ui.markup import note
from ksh_studio.ui.project import base_of, known_models_only
from ksh_studio.ui.train_watch import choose, end_now, go_on, halt, poll, show_folder
from ksh_studio.workspace import Project

PLAIN = ("name", "max_train_steps", "rank", "learning_rate", "resolution", "random_flip")
HIDDEN = ("base_model",)
ADVANCED = tuple(name for name in TrainConfig.model_fields if name not in PLAIN + HIDDEN)
FORM = PLAIN + ADVANCED
OPEN = tuple(open_fields("train", FORM))
QUIET: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}


@dataclass(frozen=True)
class TrainTab:
    """What `app.py` wires to other tabs."""

    use: gr.Button
    """Use the newest LoRA in Generate."""
    chosen: gr.Textbox
    """Id of the job shown; empty: the newest."""
    restricted: list[tuple[gr.blocks.Block, Action]]
    plan: list[gr.components.Component]
    """What `show_plan` fills."""
    form: Form


def build(studio: Studio, slug: gr.Textbox, timer: gr.Timer) -> TrainTab:
    """Build the tab's components and events."""
    gr.Markdown(t("train_tab.intro"), elem_classes="ksh-intro")
    with gr.Column() as settings:
        preset = _preset()
        with gr.Accordion(t("ui.settings"), open=False, elem_id="train-settings"):
            form = _form()
        plan = html("train-plan")
    with gr.Row(elem_classes="ksh-actions"):
        start = gr.Button(t("train_tab.start"), variant="primary", elem_id="train-start")
        stop = gr.Button(t("ui.stop"), variant="stop", elem_id="train-stop", visible=False)
        resume = gr.Button(t("train_tab.resume"), elem_id="train-resume", visible=False)
        kill = gr.Button(t("train_tab.kill"), variant="stop", elem_id="train-kill", visible=False)
    chosen = gr.Textbox(visible="hidden", elem_id="train-job", label="job", container=False)
    status = html("train-status")
    chart = html("train-chart")
    previews = html("train-previews")
    result = html("train-result")
    with gr.Row(elem_classes="ksh-actions"):
        use = gr.Button(t("train_tab.use"), variant="primary", elem_id="train-use", visible=False)
        show = gr.Button(t("ui.open_folder"), elem_id="train-open-folder", visible=False)
    past = gr.Dropdown(label=t("train_tab.past"), elem_id="train-past", visible=False, filterable=False)
    shown = [status, chart, previews, result, start, stop, resume, kill, use, show, past]
    seen = gr.State("")

    begin = guarded(studio, "train", train)
    start.click(begin, [slug, chosen], chosen, inputs_kwargs=form, api_name="train", queue=False)
    stop.click(guarded(studio, "train", halt), [slug, chosen], None, **QUIET)
    kill.click(guarded(studio, "train", end_now), [slug, chosen], None, **QUIET)
    resume.click(guarded(studio, "train", go_on), [slug, chosen], chosen, **QUIET)
    show.click(guarded(studio, "open_folder", show_folder), [slug, chosen], None, **QUIET)
    past.input(guarded(studio, "look", choose), [slug, past], chosen, **QUIET)
    timer.tick(guarded(studio, "look", poll), [slug, chosen, seen], [seen, *shown], **QUIET)
    preset.input(guarded(studio, "look", fill), preset, list(form.values()), **QUIET)
    numbers = [component.change for component in form.values()]
    planned = [plan, *(form[name] for name in OPEN)]
    explain = guarded(studio, "look", show_plan)
    gr.on(numbers, explain, slug, planned, inputs_kwargs=form, trigger_mode="always_last", **QUIET)
    restricted: list[tuple[gr.blocks.Block, Action]] = [(settings, "train"), (start, "train")]
    return TrainTab(use, chosen, restricted, planned, form)


def _preset() -> gr.Radio:
    return gr.Radio(
        [(t(f"train_tab.preset_{name}"), name) for name in TRAIN_PRESETS],
        value="balanced",
        label=t("train_tab.preset"),
        info=t("train_tab.preset_info"),
        elem_id="train-preset",
    )


def _form() -> Form:
    with gr.Row():
        form = fields("train", *PLAIN[:3])
    with gr.Row():
        form |= fields("train", *PLAIN[3:])
    with gr.Accordion(t("ui.advanced"), open=False, elem_id="train-advanced"):
        for start in range(0, len(ADVANCED), 3):
            with gr.Row():
                form |= fields("train", *ADVANCED[start : start + 3])
    return form


def fill(visit: Visit, preset: str) -> list[Any]:
    """The form as a preset has it."""
    config = TrainConfig(**TRAIN_PRESETS.get(preset, {}))
    return form_values(config, list(FORM))


def resolved(visit: Visit, project: Project, values: dict[str, Any]) -> TrainConfig:
    """The settings with every number filled in, as the training will use them."""
    from ksh_studio.training.plan import settled

    base = base_of(visit, project)
    return settled(config_from("train", values | {"base_model": base}), project, visit.studio.device().kind)


def show_plan(visit: Visit, slug: str, **values: Any) -> list[Any]:
    """One line with the numbers that matter, or what is wrong with a setting; and those numbers in the empty fields."""
    kept = [gr.skip() for _ in OPEN]
    if not slug:
        return [gr.skip(), *kept]
    project = visit.project(slug)
    count = drawings_of(project)
    if not count.total:
        return [note(translate("train_tab.no_drawings", visit.language)), *kept]
    if not count.captioned:
        return [note(translate("train_tab.no_captions", visit.language)), *kept]
    try:
        config = resolved(visit, project, values)
    except StudioError as error:
        return [note(error.text(visit.language), "bad"), *kept]
    numbers = {
        "drawings": count.captioned,
        "steps": config.max_train_steps,
        "batch": config.train_batch_size,
        "size": config.resolution,
        "rank": config.rank,
        "rate": f"{config.learning_rate:.2g}",
        "previews": config.validation_steps,
        "base": base_entry(config.base_model).label,
    }
    return [note(translate("train_tab.plan", visit.language, **numbers)), *chosen_numbers(config, OPEN)]


def train(visit: Visit, slug: str, chosen: str, **values: Any) -> str:
    """Start training with the form's settings; returns the job's id."""
    project = visit.project(slug)
    count = drawings_of(project)
    if not count.captioned:
        raise StudioError("train_tab.no_captions" if count.total else "train_tab.no_drawings")
    base = base_of(visit, project)
    known_models_only(visit, base)
    config = resolved(visit, project, values)
    visit.studio.worker.end()
    return jobs.start(project, "train", config).id
