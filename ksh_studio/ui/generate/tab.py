"""The Generate tab: a prompt becomes pictures; every picture is on disk with its recipe before it is shown."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ksh_studio.config import MAX_PROMPT_CHARACTERS, GenerateConfig
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Failed, Finished, Picture, Progress, Stopped, Warned
from ksh_studio.generation.sampler_menu import check_pair, schedules_of
from ksh_studio.jobs.describe import describe
from ksh_studio.locales import Language, translate
from ksh_studio.lora.listing import find_lora
from ksh_studio.models.registry import base_entry
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.project.workspace import Project
from ksh_studio.ui.access.guard import guarded, shown_before_raised
from ksh_studio.ui.access.roles import Action
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.generate.recipe_panel import RecipePanel
from ksh_studio.ui.generate.view import gallery, lora_choices, understood
from ksh_studio.ui.model_choice import base_of, known_models_only
from ksh_studio.ui.parts.form import Form, config_from, field
from ksh_studio.ui.parts.languages import script, t
from ksh_studio.ui.parts.markup import bar, note, notes
from ksh_studio.ui.parts.theme import html

QUIET: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
KOREAN_HINT = "prompt.korean"
NUMBERS = ("sampler", "schedule", "num_inference_steps", "guidance_scale")


@dataclass(frozen=True)
class GenerateTab:
    """What `app.py` wires to other tabs."""

    form: Form
    pictures: gr.HTML
    status: gr.HTML
    understood: gr.HTML
    suggested: gr.Textbox
    """A prompt for whoever has typed none; never seen."""
    restricted: list[tuple[gr.blocks.Block, Action]]


def build(studio: Studio, slug: gr.Textbox) -> GenerateTab:
    """Build the tab's components and events."""
    gr.Markdown(t("generate_tab.intro"), elem_classes="ksh-intro")
    with gr.Row(elem_classes="ksh-columns"):
        with gr.Column(scale=5, min_width=320):
            form = _prompts()
            suggested = gr.Textbox(visible="hidden", elem_id="generate-suggested", label="suggested", container=False)
            with gr.Row(elem_classes="ksh-actions"):
                go = gr.Button(t("generate_tab.go"), variant="primary", elem_id="generate-go")
                stop = gr.Button(t("ui.stop"), variant="stop", elem_id="generate-stop")
                insert = gr.Button(t("generate_tab.insert_trigger"), elem_id="insert-trigger")
            explained = html("generate-understood")
            form |= _style()
            with gr.Accordion(t("ui.settings"), open=False, elem_id="generate-settings"):
                form |= _settings()
        with gr.Column(scale=6, min_width=320):
            status = html("generate-status")
            pictures = html("generate-gallery", js_on_load=script("pick.js"))
            panel = RecipePanel.build(studio, slug, form, pictures)

    make = guarded(studio, "generate", generate)
    shared = {"concurrency_id": "gpu", "concurrency_limit": 1, "show_progress": "hidden"}
    go.click(make, slug, [status, pictures], inputs_kwargs=form, api_name="generate", **shared)
    stop.click(guarded(studio, "generate", halt), None, None, **QUIET)
    insert.click(guarded(studio, "generate", with_trigger), [slug, form["prompt"]], form["prompt"], **QUIET)
    explain = guarded(studio, "generate", explain_prompts)
    changes = [form["prompt"].change, form["negative_prompt"].change]
    gr.on(changes, explain, [form["prompt"], form["negative_prompt"]], explained, trigger_mode="always_last", **QUIET)
    form["sampler"].input(guarded(studio, "look", schedules), form["sampler"], form["schedule"], **QUIET)
    return GenerateTab(form, pictures, status, explained, suggested, panel.restricted)


def _prompts() -> Form:
    return {
        "prompt": field("generate", "prompt", lines=3, max_length=MAX_PROMPT_CHARACTERS),
        "negative_prompt": field("generate", "negative_prompt", lines=2, max_length=MAX_PROMPT_CHARACTERS),
    }


def _style() -> Form:
    lora = gr.Dropdown(
        [(t("generate_tab.no_lora"), "")],
        value="",
        allow_custom_value=True,
        label=t("settings.generate.lora"),
        info=t("generate_tab.lora_info"),
        elem_id="generate-lora",
    )
    scale = field("generate", "lora_scale", minimum=0.0, maximum=2.0, step=0.05)
    return {"lora": lora, "lora_scale": scale}


def _settings() -> Form:
    with gr.Row():
        form: Form = {name: field("generate", name) for name in NUMBERS[:2]}
    with gr.Row():
        form |= {name: field("generate", name) for name in NUMBERS[2:]}
    with gr.Row():
        form["seed"] = field("generate", "seed")
        form["batch_size"] = field("generate", "batch_size")
    with gr.Row():
        form |= {name: field("generate", name) for name in ("width", "height")}
    with gr.Row():
        form |= {name: field("generate", name) for name in ("clip_skip", "attention")}
    return form


def generate(visit: Visit, slug: str, **values: Any) -> Iterator[tuple[Any, Any]]:
    """Draw with the form's settings; yields (status, gallery) as the worker goes on."""
    project = visit.project(slug)
    config = _wanted(visit, project, values)
    language, warned = visit.language, []
    yield bar(0, 0, translate("ui.starting", language)), gr.skip()
    if not visit.studio.worker.busy:  # theirs from the start, so that they may stop it while the model is still loading
        visit.studio.turn.key = visit.key
    for event in shown_before_raised(visit.studio.worker.generate(config, project), language):
        if isinstance(event, str):
            yield event, gr.skip()
            continue
        visit.studio.turn.key = visit.key
        if isinstance(event, Warned) and event.key != KOREAN_HINT:  # that one stands under the prompt already
            warned.append(note(event.text(language), "warn"))
        shown = shown_event(event, language)
        if shown is not None:
            yield notes([shown, *warned]), gallery(project, language) if isinstance(event, Picture) else gr.skip()


def _wanted(visit: Visit, project: Project, values: dict[str, Any]) -> GenerateConfig:
    named = values.pop("base_model", "")
    known_models_only(visit, named)  # what the owner has set for the project serves everybody
    base = base_of(visit, project, named)
    config: GenerateConfig = config_from("generate", values | {"base_model": base})
    check_pair(config.sampler, config.schedule)
    if (
        config.lora
        and not visit.may("server_path")
        and config.lora not in dict(map(reversed, lora_choices(project, "en")))
    ):
        raise StudioError("lora.missing", name=config.lora[:200])
    if config.lora:
        find_lora(project.workspace, config.lora)
    return config


def shown_event(event: Event, language: Language) -> str | None:
    """HTML of what the worker has just done; None for what the tab does not show, empty where only the notes change."""
    match event:
        case Progress():
            return bar(event.done, event.total, describe(event, language))
        case Picture():
            return bar(event.index + 1, event.total, describe(event, language))
        case Finished() | Stopped():
            return note(describe(event, language), "good")
        case Failed():
            return note(describe(event, language), "bad")
        case Warned():
            return ""
    return None


def halt(visit: Visit) -> None:
    """End the visitor's own picture after its current step; the owner may end anybody's."""
    if visit.role != "owner" and visit.studio.turn.key != visit.key:
        raise StudioError("access.not_yours")
    visit.studio.worker.interrupt()


def with_trigger(visit: Visit, slug: str, prompt: str) -> str:
    """The prompt with the project's trigger in its place, once."""
    trigger = visit.project(slug).settings().trigger
    bare = (prompt or "").rstrip(" ,")
    if trigger.text.lower() in bare.lower():
        return prompt
    parts = (bare, trigger.text) if trigger.position == "end" else (trigger.text, bare)
    return ", ".join(part for part in parts if part)


def explain_prompts(visit: Visit, prompt: str, negative: str) -> str:
    """What the studio understood of both prompts."""
    for text in (prompt, negative):
        if len(text or "") > MAX_PROMPT_CHARACTERS:
            raise StudioError("generate_tab.too_long", limit=MAX_PROMPT_CHARACTERS)
    return understood(prompt or "", negative or "", visit.language)


def schedules(visit: Visit, sampler: str) -> gr.Dropdown:
    """Only the schedules that the sampler can have."""
    return gr.Dropdown(choices=list(schedules_of(sampler)), value="Automatic")


def shown(visit: Visit, slug: str) -> list[Any]:
    """Everything of the tab that depends on the project: LoRA menu, gallery, empty numbers' defaults."""
    if not slug:
        return [gr.skip()] * 7
    project = visit.project(slug)
    entry = base_entry(base_of(visit, project))
    numbers = (entry.num_inference_steps, entry.guidance_scale, entry.native_size, entry.native_size, entry.clip_skip)
    return [
        gr.Dropdown(choices=lora_choices(project, visit.language)),
        gallery(project, visit.language),
        *(gr.Textbox(placeholder=f"{number:g}") for number in numbers),
    ]


def ready_to_go(visit: Visit, slug: str) -> list[str]:
    """A prompt of the project (its first caption with the trigger) and its newest LoRA, so that one click draws."""
    if not slug:
        return ["", ""]
    project = visit.project(slug)
    newest = [path for _, path in lora_choices(project, visit.language)][1:2]
    return [_first_prompt(project), *(newest or [""])]


def _first_prompt(project: Project) -> str:
    trigger = project.settings().trigger
    if not project.captions_db.is_file():
        return trigger.text
    with Catalogue(project) as catalogue:
        rows = catalogue.page(limit=1, shown="captioned").rows
    return trigger.apply(rows[0].caption if rows else "")


def shown_on(tab: GenerateTab) -> list[gr.components.Component]:
    """The components that `shown` fills."""
    names = ("num_inference_steps", "guidance_scale", "width", "height", "clip_skip")
    return [tab.form["lora"], tab.pictures, *(tab.form[name] for name in names)]
