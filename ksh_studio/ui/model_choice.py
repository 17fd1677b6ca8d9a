"""Which base model and captioner a visitor may choose, and which one is used."""

import gradio as gr

from ksh_studio.models import choice
from ksh_studio.models.registry import registered_names
from ksh_studio.project.workspace import Project
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.languages import page_text


def field_with_choices(stage: str, name: str, choices: list[tuple[str, str]]) -> gr.Dropdown:
    """A menu of the registry's models in which the owner may also type a hub id or a path."""
    key = f"settings.{stage}.{name}"
    machine = (page_text("ui.machine_default"), "")
    return gr.Dropdown(
        choices=[machine, *choices],
        value="",
        allow_custom_value=True,
        label=page_text(key),
        info=page_text(f"{key}.info"),
        elem_id=f"{stage}-{name.replace('_', '-')}",
    )


def base_of(visit: Visit, project: Project, named: str = "") -> str:
    """Name of the base model that will be used: the one named, else the project's, else the machine's default."""
    return choice.base_model_of(project, visit.studio.device().type, named)


def captioner_of(visit: Visit, project: Project, named: str = "") -> str:
    """Name of the captioner that will be used: the one named, else the project's, else the machine's default."""
    return choice.captioner_of(project, visit.studio.device().type, named)


def known_models_only(visit: Visit, *names: str) -> None:
    """Raise StudioError when somebody who may not name models names one that is not in the registry."""
    registered = registered_names()
    if any(name and name not in registered for name in names):
        visit.need("model_id")
