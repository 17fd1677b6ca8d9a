"""What the Generate tab shows of the project: its LoRA menu and gallery, the numbers used where a setting is empty."""

from collections.abc import Iterable
from dataclasses import dataclass

import gradio as gr
from gradio.blocks import Block

from ksh_studio.config import GenerateConfig
from ksh_studio.generation.request import settle
from ksh_studio.models.registry import base_entry
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.generate.form import FORM
from ksh_studio.ui.generate.generating import show_gallery
from ksh_studio.ui.generate.lora_menu import lora_menu
from ksh_studio.ui.model_choice import base_of
from ksh_studio.ui.parts.form import Form, open_fields, placeholders
from ksh_studio.ui.parts.outputs import UNCHANGED, Unchanged

SET_BY_CHANCE = "seed"
"""An empty seed is another one for each request, so that no number can be shown for it."""


@dataclass(frozen=True)
class ProjectContents:
    """Everything of the tab that depends on the project and on the language, and its components."""

    lora: Block
    pictures: gr.HTML | str
    numbers: Form | dict[str, gr.Textbox]
    """By the setting's name, in grey, the number that is used where the field is empty."""


def contents_of(form: Form, pictures: gr.HTML) -> ProjectContents:
    """The components that `show_project` fills."""
    return ProjectContents(form["lora"], pictures, {name: form[name] for name in _numbers(form)})


def _numbers(names: Iterable[str]) -> list[str]:
    """Those of the settings in which a number of the base model is used when they are empty."""
    return [name for name in open_fields("generate", names) if name != SET_BY_CHANCE]


def show_project(visit: Visit, slug: str) -> ProjectContents | Unchanged:
    """LoRA menu, gallery, and the numbers of the project's base model."""
    if not slug:
        return UNCHANGED
    project = visit.project(slug)
    settled = settle(GenerateConfig(), base_entry(base_of(visit, project)))
    numbers = _numbers(FORM)
    return ProjectContents(
        gr.Dropdown(choices=lora_menu(visit, project)),
        show_gallery(visit, project),
        placeholders(settled, numbers),
    )
