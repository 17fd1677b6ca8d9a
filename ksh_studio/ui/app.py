"""The page as a table of contents: head, three tabs, and every wire between them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import gradio as gr
from gradio.blocks import Block

from ksh_studio.locales import Language, translate
from ksh_studio.ui import project_bar as project
from ksh_studio.ui.access.guard import filling
from ksh_studio.ui.access.roles import Action
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.access.visitors import welcome
from ksh_studio.ui.caption import tab as caption_tab
from ksh_studio.ui.caption import watch as caption_watch
from ksh_studio.ui.caption.first_steps import open_train, show_first_steps
from ksh_studio.ui.caption.tab import CaptionTab
from ksh_studio.ui.generate import tab as generate_tab
from ksh_studio.ui.generate.generating import show_busy
from ksh_studio.ui.generate.lora_menu import lora_menu
from ksh_studio.ui.generate.project_contents import show_project
from ksh_studio.ui.generate.prompts import insert_trigger
from ksh_studio.ui.generate.tab import GenerateTab
from ksh_studio.ui.head import Head, build_head, workspace_path
from ksh_studio.ui.kept_forms import draft_scripts, keep_forms
from ksh_studio.ui.models_in_use import ModelsInUse, show_models
from ksh_studio.ui.parts.form import form_inputs
from ksh_studio.ui.parts.languages import first_value, frontend_module, has_translated_value, page_text, script
from ksh_studio.ui.parts.markup import note
from ksh_studio.ui.parts.messages import message_place
from ksh_studio.ui.parts.outputs import EACH_TIME, QUIET, Update, clicked_value, in_order, visible
from ksh_studio.ui.parts.theme import html
from ksh_studio.ui.project_bar import ProjectBar
from ksh_studio.ui.restored_panel import RestoredPanel, build_restored_panel, show_restored
from ksh_studio.ui.train import plan as train_plan
from ksh_studio.ui.train import tab as train_tab
from ksh_studio.ui.train import watch as train_watch
from ksh_studio.ui.train.actions import lora_of
from ksh_studio.ui.train.tab import TrainTab

TABS = ("caption", "train", "generate")
VERSIONS = (caption_watch.version, train_watch.version)
"""Of what the `tick` of the page's script for changes updates (see `server.changes`)."""


@dataclass(frozen=True)
class Page:
    """The components between which the page's own events run."""

    head: Head
    banner: gr.HTML
    tabs: gr.Tabs
    tab: dict[str, gr.Tab]
    """The three tabs by name."""
    bar: ProjectBar
    restored: RestoredPanel
    models: ModelsInUse
    caption: CaptionTab
    train: TrainTab
    generate: GenerateTab


def build_app(studio: Studio) -> gr.Blocks:
    """The whole page. Nothing is loaded or looked for before somebody opens it."""
    with gr.Blocks(title="KSH Studio", analytics_enabled=False, delete_cache=(3600, 86400)) as blocks:
        messages = message_place()
        draft_scripts(studio)
        address = html("address", js_on_load=script("address.js"))
        banner = html("banner")
        bar = project.build(studio)
        head = build_head()
        restored = build_restored_panel(studio, bar.slug, bar.settings)
        changes = html("changes", js_on_load=script("changes.js"))
        with gr.Tabs(elem_id="stages", selected="caption") as tabs:
            with gr.Tab(
                page_text("ui.tab_caption"), id="caption", elem_id="tab-caption", render_children=True
            ) as first:  # the grid saves captions that were kept, whichever tab is shown
                caption_model = html("caption-model")
                caption = caption_tab.build(studio, bar.slug, changes, messages)
            with gr.Tab(page_text("ui.tab_train"), id="train", elem_id="tab-train", render_children=True) as second:
                train_model = html("train-model")
                train = train_tab.build(studio, bar.slug, changes, messages)
            with gr.Tab(
                page_text("ui.tab_generate"), id="generate", elem_id="tab-generate", render_children=True
            ) as third:
                generate_model = html("generate-model")
                generate = generate_tab.build(studio, bar.slug)
        named = dict(zip(TABS, (first, second, third), strict=True))
        menus = bar.settings["base_model"], bar.settings["captioner"], caption.form["captioner"]
        models = ModelsInUse(caption_model, train_model, generate_model, *menus)
        page = Page(head, banner, tabs, named, bar, restored, models, caption, train, generate)
        _opening(studio, blocks, page)
        _address(studio, address, page)
        _ask_for_changes(changes, page)
        keep_forms(blocks.load, bar, caption, train, generate)
        _languages(studio, blocks, page)
        _between_tabs(studio, page)
        _use_lora(studio, page)
    blocks.queue(max_size=64, default_concurrency_limit=8)
    return blocks


def _opening(studio: Studio, blocks: gr.Blocks, page: Page) -> None:
    """What happens when somebody opens the page."""
    parts = (page.head, page.bar, page.caption, page.train, page.generate)
    restricted: dict[Block, Action] = {block: action for part in parts for block, action in part.restricted}
    shown = Place(page.bar.picker, page.bar.slug, page.tabs)
    places = Opened(page.head.language, shown, {block: block for block in restricted})
    opening = blocks.load(**filling(studio, "look", open_page(restricted), places), **QUIET)
    opening.then(None, None, None, js="() => window.kshAddress.opened()", **QUIET)


def _address(studio: Studio, address: gr.HTML, page: Page) -> None:
    """The browser's address follows the project and the tab; Back and Forward show those of an earlier address."""
    bar = page.bar
    bar.slug.change(None, bar.slug, None, js="(slug) => window.kshAddress.project(slug)", **QUIET)
    for name, tab in page.tab.items():
        tab.select(None, None, None, js=f"() => window.kshAddress.tab('{name}')", **QUIET)
    address.select(**filling(studio, "look", place_asked_for, Place(bar.picker, bar.slug, page.tabs)), **QUIET)


def _ask_for_changes(changes: gr.HTML, page: Page) -> None:
    """The script that asks for changes is told of which project and training, and when the tabs are updated."""
    changes.tick(None, None, None, js="() => window.kshChanges.updated()", **QUIET)  # after the handlers of the tabs
    page.bar.slug.change(None, page.bar.slug, None, js="(slug) => window.kshChanges.project(slug)", **QUIET)
    page.train.job_id.change(None, page.train.job_id, None, js="(id) => window.kshChanges.training(id)", **QUIET)


def _languages(studio: Studio, blocks: gr.Blocks, page: Page) -> None:
    """The switch: static texts by gradio in the browser, the server's sentences by the cookie that it leaves."""
    switch = script("language.js", module=frontend_module())
    own = {block: block for block in blocks.blocks.values() if has_translated_value(block)}
    texts = filling(studio, "look", in_language(own), Translated(page.banner, page.head.workspace, page.tab, own))
    blocks.load(None, None, None, js=switch, **QUIET)
    blocks.load(**texts, **QUIET)
    page.head.language.input(None, page.head.language, None, js=switch, **QUIET).then(**texts, **QUIET)


def _between_tabs(studio: Studio, page: Page) -> None:
    """What a change of the project, of the language, or of the captions does in the tabs."""
    bar, train, generate = page.bar, page.train, page.generate
    changes, changed = [bar.slug.change, page.head.language.input], QUIET | EACH_TIME
    gr.on(changes, inputs=bar.slug, **filling(studio, "look", show_restored, page.restored), **changed)
    first = page.caption.first
    begun = filling(studio, "look", show_first_steps, first)
    gr.on([*changes, page.caption.state.change], inputs=bar.slug, **begun, **changed)
    page.caption.next_stage.click(**filling(studio, "look", open_train, page.tabs), **QUIET)
    triggers = [*changes, page.caption.stamp.change]
    plan = filling(studio, "look", train_plan.show_plan, train.plan)
    inputs = {"inputs": [bar.slug, train.preset], "inputs_kwargs": form_inputs(train.form)}
    gr.on(triggers, **inputs, **plan, **(in_order(train_plan.PLAN) | EACH_TIME))
    presets = filling(studio, "look", train_plan.show_presets, train.preset)
    gr.on([*triggers, train.checked.change], inputs=bar.slug, **presets, **changed)
    gr.on(changes, inputs=bar.slug, **filling(studio, "look", show_project, generate.project), **changed)
    busy = filling(studio, "look", show_busy, generate.drawing)
    page.tab["generate"].select(inputs=generate.busy_shown, **busy, **QUIET)
    models = filling(studio, "look", show_models, page.models)
    gr.on(changes, inputs=bar.slug, **models, **changed)
    bar.settings_saved.success(inputs=bar.slug, **models, **QUIET)
    bar.slug.change(None, None, train.job_id, js="() => ''", **QUIET)


def _use_lora(studio: Studio, page: Page) -> None:
    """The buttons on the Train tab that take a LoRA to the Generate tab."""
    form = page.generate.form
    inputs = [page.bar.slug, page.train.job_id, form["prompt"]]
    places = LoraUsed(form["lora"], form["prompt"], page.tabs)
    gr.on(
        [page.train.use_lora.click, page.train.next_stage.click],
        inputs=inputs,
        **filling(studio, "generate", use_lora, places),
        **QUIET,
    )
    page.train.files.select(inputs=inputs, **filling(studio, "generate", use_clicked_lora, places), **QUIET)


@dataclass(frozen=True)
class Place:
    """The project and the tab that the address names, and the components that show them."""

    picker: gr.Dropdown
    slug: gr.Textbox | str
    tabs: gr.Tabs


@dataclass(frozen=True)
class Opened:
    """What a page begins with, and its components."""

    language: gr.Radio | Language
    place: Place
    restricted: dict[Block, Block] | dict[Block, Update]


@dataclass(frozen=True)
class Translated:
    """What gradio does not translate again by itself, or not for sure, and its components."""

    banner: gr.HTML | str
    workspace: gr.HTML | str
    tab: dict[str, gr.Tab]
    texts: dict[Block, Block] | dict[Block, Update]
    """Components whose value is a text of the page; see `parts.languages.has_translated_value`."""


@dataclass(frozen=True)
class LoraUsed:
    """What changes on the Generate tab when a LoRA is used there."""

    lora: Block
    prompt: Block | str
    tabs: gr.Tabs


def open_page(restricted: dict[Block, Action]) -> Callable[[Visit], Opened]:
    """The handler of a page that opens: language, project, tab, and only the parts that its visitor may use."""

    def opened(visit: Visit) -> Opened:
        if visit.role == "visitor":
            welcome(visit.studio, visit.workspace, visit.language)
        allowed = {block: visible(visit.may(action)) for block, action in restricted.items()}
        return Opened(visit.language, place_asked_for(visit), allowed)

    return opened


def place_asked_for(visit: Visit) -> Place:
    """The project and the tab that the page's address names; others where it names none that there is."""
    choices = project.choices(visit)
    slugs = [slug for _, slug in choices]
    slug = next((name for name in (visit.query.get("project", ""), "demo", *slugs) if name in slugs), "")
    tab = visit.query.get("tab", "")
    picker = gr.Dropdown(choices=choices, value=slug or None)
    return Place(picker, slug, gr.Tabs(selected=tab if tab in TABS else "caption"))


def in_language(texts: Iterable[Block]) -> Callable[[Visit], Translated]:
    """The handler of a chosen language: everything of `Translated` in the language of the visitor."""

    def translated(visit: Visit) -> Translated:
        names = {name: gr.Tab(label=translate(f"ui.tab_{name}", visit.language)) for name in TABS}
        return Translated(banner(visit), workspace_path(visit), names, {block: first_value(block) for block in texts})

    return translated


def banner(visit: Visit) -> str:
    """What a guest or a Space's visitor should know before they begin."""
    if visit.role == "owner":
        return ""
    return note(translate(f"access.banner_{visit.role}", visit.language))


def use_lora(visit: Visit, slug: str, job: str, prompt: str) -> LoraUsed:
    """The recommended LoRA of the job is chosen in Generate; the trigger is added to the prompt standing there."""
    return _used(visit, slug, lora_of(visit, slug, job), prompt)


def use_clicked_lora(visit: Visit, slug: str, job: str, prompt: str, event: gr.EventData) -> LoraUsed:
    """As `use_lora`, with the LoRA of the step that was clicked."""
    step = clicked_value(event)
    return _used(visit, slug, lora_of(visit, slug, job, int(step) if step.isdecimal() else -1), prompt)


def _used(visit: Visit, slug: str, path: str, prompt: str) -> LoraUsed:
    choices = lora_menu(visit, visit.project(slug))
    with_trigger = insert_trigger(visit, slug, prompt)
    return LoraUsed(gr.Dropdown(choices=choices, value=path), with_trigger, gr.Tabs(selected="generate"))
