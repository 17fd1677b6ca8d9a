"""The page as a table of contents: project bar, three tabs, and every wire between them."""

from typing import Any

import gradio as gr

from ksh_studio.locales import LANGUAGES, translate
from ksh_studio.ui import project_bar as project
from ksh_studio.ui.access.guard import guarded
from ksh_studio.ui.access.roles import Action
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.access.visitors import welcome
from ksh_studio.ui.caption import tab as caption_tab
from ksh_studio.ui.generate import tab as generate_tab
from ksh_studio.ui.generate.tab import GenerateTab
from ksh_studio.ui.parts.languages import frontend_module, script, t
from ksh_studio.ui.parts.markup import note
from ksh_studio.ui.parts.theme import html
from ksh_studio.ui.project_bar import ProjectBar
from ksh_studio.ui.train import plan as train_plan
from ksh_studio.ui.train import tab as train_tab
from ksh_studio.ui.train.actions import lora_of
from ksh_studio.ui.train.tab import TrainTab

QUIET: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
TABS = ("caption", "train", "generate")
NAMES = {"en": "English", "ko": "한국어"}


def build_app(studio: Studio) -> gr.Blocks:
    """The whole page. Nothing is loaded or looked for before somebody opens it."""
    with gr.Blocks(title="KSH Studio", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        with gr.Row(elem_classes="ksh-head"):
            gr.Markdown(f"# KSH Studio\n{t('ui.tagline')}", elem_id="studio-title")
            language = gr.Radio(
                [(NAMES[code], code) for code in LANGUAGES],
                value="en",
                show_label=False,
                container=False,
                elem_id="language",
                scale=0,
                min_width=190,
            )
        greeting = html("banner")
        bar = project.build(studio)
        timer = gr.Timer(1.0)
        with gr.Tabs(elem_id="stages", selected="caption") as tabs:
            with gr.Tab(t("ui.tab_caption"), id="caption", elem_id="tab-caption") as first:
                caption = caption_tab.build(studio, bar.slug, timer)
            with gr.Tab(t("ui.tab_train"), id="train", elem_id="tab-train", render_children=True) as second:
                train = train_tab.build(studio, bar.slug, timer)
            with gr.Tab(t("ui.tab_generate"), id="generate", elem_id="tab-generate", render_children=True) as third:
                generate = generate_tab.build(studio, bar.slug)
        restricted = [*bar.restricted, *caption.restricted, *train.restricted, *generate.restricted]
        arriving = [language, bar.picker, bar.slug, tabs, *(part for part, _ in restricted)]
        page.load(guarded(studio, "look", arrive([action for _, action in restricted])), None, arriving, **QUIET)
        _languages(studio, page, language, (greeting, first, second, third))
        _wire(studio, bar, train, generate, (language, tabs, caption.stamp))
    page.queue(max_size=64, default_concurrency_limit=8)
    return page


def _wire(studio: Studio, bar: ProjectBar, train: TrainTab, generate: GenerateTab, head: tuple[Any, Any, Any]) -> None:
    """What a change of the project, of the language, or in one tab does in the others."""
    language, tabs, stamp = head
    changes = [bar.slug.change, language.input]
    settings = guarded(studio, "look", project.settings_shown(list(bar.settings)))
    gr.on(changes, settings, bar.slug, list(bar.settings.values()), **QUIET)
    plan = guarded(studio, "look", train_plan.show_plan)
    gr.on([*changes, stamp.change], plan, bar.slug, train.plan, inputs_kwargs=train.form, **QUIET)
    presets = guarded(studio, "look", train_plan.show_presets)
    gr.on([*changes, stamp.change, train.checked.change], presets, bar.slug, train.preset, **QUIET)
    drawn = guarded(studio, "look", generate_tab.shown)
    gr.on(changes, drawn, bar.slug, generate_tab.shown_on(generate), **QUIET)
    ready, prompt = guarded(studio, "look", generate_tab.ready_to_go), generate.form["prompt"]
    made_ready = bar.slug.change(ready, bar.slug, [generate.suggested, generate.form["lora"]], **QUIET)
    made_ready.then(None, [generate.suggested, prompt], prompt, js=script("suggest.js"), **QUIET)
    bar.slug.change(None, bar.slug, None, js=script("address.js"), **QUIET)
    bar.slug.change(None, None, train.chosen, js="() => ''", **QUIET)
    of_job, filled = [bar.slug, train.chosen, prompt], [generate.form["lora"], prompt, tabs]
    train.use.click(guarded(studio, "generate", use_lora), of_job, filled, **QUIET)
    train.files.select(guarded(studio, "generate", use_picked), of_job, filled, **QUIET)


def _languages(studio: Studio, page: gr.Blocks, language: gr.Radio, named: tuple[Any, ...]) -> None:
    """The switch: static texts by gradio in the browser, the server's sentences by the cookie that it leaves."""
    switch = script("language.js", module=frontend_module())
    names = guarded(studio, "look", in_language)
    page.load(None, None, None, js=switch, **QUIET)
    page.load(names, None, list(named), **QUIET)
    language.input(None, language, None, js=switch, **QUIET).then(names, None, list(named), **QUIET)


def in_language(visit: Visit) -> list[Any]:
    """The banner and the tabs' names, which gradio does not translate again by itself."""
    return [banner(visit), *(gr.Tab(label=translate(f"ui.tab_{name}", visit.language)) for name in TABS)]


def arrive(actions: list[Action]) -> Any:
    """The handler of a page that opens: language, project, tab, and only the parts its visitor may use."""

    def open_page(visit: Visit) -> list[Any]:
        if visit.role == "visitor":
            welcome(visit.studio, visit.workspace, visit.language)
        slugs = [slug for _, slug in project.choices(visit)]
        wish, tab = visit.query.get("project", ""), visit.query.get("tab", "")
        slug = next((name for name in (wish, "demo", *slugs) if name in slugs), "")
        tab = tab if tab in TABS else "caption"
        picker = gr.Dropdown(choices=project.choices(visit), value=slug or None)
        shown = [gr.update(visible=visit.may(action)) for action in actions]
        return [visit.language, picker, slug, gr.Tabs(selected=tab), *shown]

    return open_page


def banner(visit: Visit) -> str:
    """What a guest or a Space's visitor should know before they begin."""
    if visit.role == "owner":
        return ""
    return note(translate(f"access.banner_{visit.role}", visit.language))


def use_lora(visit: Visit, slug: str, job: str, prompt: str) -> list[Any]:
    """The recommended LoRA of the job is chosen in Generate; the trigger is added to the prompt standing there."""
    return _used(visit, slug, lora_of(visit, slug, job), prompt)


def use_picked(visit: Visit, slug: str, job: str, prompt: str, event: gr.EventData) -> list[Any]:
    """As `use_lora`, with the LoRA of the step that was clicked."""
    clicked = str(event._data.get("value", "")) if isinstance(event._data, dict) else ""
    return _used(visit, slug, lora_of(visit, slug, job, int(clicked) if clicked.isdecimal() else -1), prompt)


def _used(visit: Visit, slug: str, path: str, prompt: str) -> list[Any]:
    choices = generate_tab.lora_choices(visit.project(slug), visit.language)
    called = generate_tab.with_trigger(visit, slug, prompt)
    return [gr.Dropdown(choices=choices, value=path), called, gr.Tabs(selected="generate")]
