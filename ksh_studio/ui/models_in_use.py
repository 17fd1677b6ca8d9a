"""Which models will run, said where they run: one line while it is a trial model, and its name in the menus."""

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr
from gradio.blocks import Block

from ksh_studio.errors import StudioError
from ksh_studio.locales import Language, translate
from ksh_studio.models.registry import (
    ANYTHING,
    BLIP2_OPT,
    BaseEntry,
    CaptionerEntry,
    base_entry,
    base_models,
    captioner_entry,
    captioners,
    default_base,
    default_captioner,
)
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.model_choice import base_of, captioner_of
from ksh_studio.ui.parts.markup import note
from ksh_studio.ui.parts.outputs import UNCHANGED, Unchanged, Update


@dataclass(frozen=True)
class ModelsInUse:
    """A line on each tab, and the menus where an empty choice stands for a model; components, or what they show."""

    caption: gr.HTML | str
    train: gr.HTML | str
    generate: gr.HTML | str
    project_base: Block | Update
    project_captioner: Block | Update
    captioner: Block | Update
    """The menu of the Caption tab, in which an empty choice is first of all the project's captioner."""


def show_models(visit: Visit, slug: str) -> ModelsInUse | Unchanged:
    """What the page says of the models that the project will use."""
    if not slug:
        return UNCHANGED
    project, device, language = visit.project(slug), visit.studio.device().type, visit.language
    drawing = _base_line(base_of(visit, project), device, language)
    captioner = captioner_of(visit, project)
    by_itself = base_entry(default_base(device)), captioner_entry(default_captioner(device))
    return ModelsInUse(
        caption=_captioner_line(captioner, device, language),
        train=drawing,
        generate=drawing,
        project_base=_menu(translate("models.of_machine", language, model=by_itself[0].label), base_models()),
        project_captioner=_menu(translate("models.of_machine", language, model=by_itself[1].label), captioners()),
        captioner=_menu(_captioner_by_default(captioner, project.settings().captioner, language), captioners()),
    )


def _base_line(name: str, device: str, language: Language) -> str:
    """One line while the base model is a trial model, with what a full one needs; empty otherwise."""
    try:
        entry = base_entry(name)
    except StudioError:  # it is not there: whoever uses it is told so
        return ""
    if not entry.trial:
        return ""
    remedy = "needs_gpu" if base_entry(default_base(device)).trial else "choose_full"
    more = translate(f"models.{remedy}", language, model=ANYTHING.label)
    return note(f"{translate('models.trial_base', language, model=entry.label, size=entry.native_size)} {more}")


def _captioner_line(name: str, device: str, language: Language) -> str:
    """As `_base_line`, of the captioner."""
    try:
        entry = captioner_entry(name)
    except StudioError:
        return ""
    if not entry.trial:
        return ""
    remedy = "needs_nvidia" if captioner_entry(default_captioner(device)).trial else "choose_full"
    more = translate(f"models.{remedy}", language, model=BLIP2_OPT.label)
    return note(f"{translate('models.trial_captioner', language, model=entry.label)} {more}")


def _captioner_by_default(name: str, of_project: str | None, language: Language) -> str:
    """What an empty choice on the Caption tab stands for."""
    try:
        label = captioner_entry(name).label
    except StudioError:
        label = name
    return translate("models.of_project" if of_project else "models.of_machine", language, model=label)


def _menu(by_default: str, entries: Sequence[BaseEntry | CaptionerEntry]) -> Update:
    return gr.update(choices=[(by_default, ""), *((entry.label, entry.name) for entry in entries)])
