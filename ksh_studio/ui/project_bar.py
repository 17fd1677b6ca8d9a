"""The project's side of the head: select, create, rename, set up, back up, restore and delete projects."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.events import Dependency

from ksh_studio.config import ProjectSettings, Trigger
from ksh_studio.errors import StudioError, validated
from ksh_studio.locales import translate
from ksh_studio.models.registry import (
    base_entry,
    base_models,
    captioner_entry,
    captioners,
    registered_names,
)
from ksh_studio.project import backup
from ksh_studio.project.workspace import Project
from ksh_studio.ui.access.guard import filling, guarded
from ksh_studio.ui.access.roles import Action
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import VISITOR_PROJECTS, Visit
from ksh_studio.ui.model_choice import field_with_choices
from ksh_studio.ui.parts.form import Form, config_from, field, form_inputs, form_values
from ksh_studio.ui.parts.languages import page_text
from ksh_studio.ui.parts.markup import joined, link
from ksh_studio.ui.parts.outputs import QUIET
from ksh_studio.ui.parts.sheet import CLOSE_SHEET, sheet, sheet_button
from ksh_studio.ui.parts.theme import html
from ksh_studio.ui.server.file_browser import open_folder
from ksh_studio.ui.server.files import download_folder, file_url

SHOWING_WORK: dict[str, Any] = {"api_visibility": "private"}
"""Options of an event that takes its time: gradio shows that it works."""


@dataclass(frozen=True)
class ProjectBar:
    """What the tabs need of the bar."""

    slug: gr.Textbox
    """Slug of the project shown; kept by the browser, so that a restarted studio does not lose it."""
    picker: gr.Dropdown
    new_name: gr.Textbox
    settings: Form
    settings_saved: Dependency
    restricted: list[tuple[Block, Action]]
    """Parts shown only to those who may use them."""


@dataclass(frozen=True)
class Selected:
    """The project that is shown, and the components that say so."""

    picker: gr.Dropdown
    slug: gr.Textbox | str


@dataclass(frozen=True)
class Created(Selected):
    """A new project is shown; the field for its name is emptied."""

    name: gr.Textbox | str = ""


@dataclass(frozen=True)
class Deleted(Selected):
    """Another project is shown; the tick of the deleted one is taken away."""

    sure: gr.Checkbox | bool = False


@dataclass(frozen=True)
class Saved:
    """Settings are saved; the menu shows the name as it is now."""

    picker: gr.Dropdown
    message: gr.Markdown | str


def build(studio: Studio) -> ProjectBar:
    """The left side of the head, and the sheets that it opens."""
    slug = gr.Textbox(visible="hidden", elem_id="project-slug", label="project", container=False)
    with gr.Row(elem_id="head-project"):
        gr.Markdown("# KSH Studio", elem_id="studio-title")
        picker = gr.Dropdown(
            label=page_text("ui.project"), show_label=False, container=False, elem_id="project-picker", scale=1,
            min_width=120, filterable=False,
        )  # fmt: skip
        html("head-sheets", value=joined([sheet_button("new-project", "＋"), sheet_button("project-setup", "⚙")]))
    with sheet("new-project", "ui.sheet_new-project") as new:
        name = gr.Textbox(label=page_text("ui.new_name"), elem_id="new-project-name", max_lines=1)
        create = gr.Button(page_text("ui.create"), variant="primary", elem_id="create-project")
    with sheet("project-setup", "ui.sheet_project-setup") as setup:
        settings, saved, folder = _build_settings(studio, slug, picker)
        with gr.Row():
            _build_backup(studio, slug)
            _build_restore(studio, slug, picker)
        _build_delete(studio, slug, picker)
    picker.input(inputs=picker, **filling(studio, "look", select_project, slug), **QUIET)
    created = filling(studio, "create_project", create_project, Created(picker, slug, name))
    gr.on([create.click, name.submit], inputs=name, **created, **QUIET).success(**CLOSE_SHEET)
    restricted: list[tuple[Block, Action]] = [
        (setup, "settings"), (new, "create_project"), (folder, "open_folder"),
    ]  # fmt: skip
    return ProjectBar(slug, picker, name, settings, saved, restricted)


def _build_settings(studio: Studio, slug: gr.Textbox, picker: gr.Dropdown) -> tuple[Form, Dependency, gr.Button]:
    """Name, trigger and models of the project.

    Returns the form, the event that saves it, and the button that opens the project's folder.
    """
    with gr.Row():
        form: Form = {"name": field("project", "name", elem_id="project-name", max_lines=1)}
        form["text"] = field("trigger", "text", max_lines=1)
        form["position"] = field("trigger", "position")
    with gr.Row():
        form["base_model"] = field_with_choices("project", "base_model", [(m.label, m.name) for m in base_models()])
        form["captioner"] = field_with_choices("project", "captioner", [(c.label, c.name) for c in captioners()])
    form["preview_prompts"] = field("project", "preview_prompts")
    with gr.Row():
        save = gr.Button(page_text("ui.save_settings"), variant="primary", elem_id="save-settings", min_width=140)
        folder = gr.Button(page_text("ui.open_folder"), elem_id="open-project-folder", min_width=140)
    message = gr.Markdown(elem_id="settings-said")
    saving = filling(studio, "settings", save_settings, Saved(picker, message))
    saved = save.click(inputs=slug, inputs_kwargs=form_inputs(form), **saving, **QUIET)
    folder.click(guarded(studio, "open_folder", open_project_folder), slug, None, **QUIET)
    return form, saved, folder


def _build_backup(studio: Studio, slug: gr.Textbox) -> None:
    """One zip with everything of the project."""
    with gr.Column(min_width=220):
        button = gr.Button(page_text("ui.backup"), elem_id="backup-project")
        download = html("backup-ready")
    button.click(inputs=slug, **filling(studio, "backup", back_up, download), **SHOWING_WORK)


def _build_restore(studio: Studio, slug: gr.Textbox, picker: gr.Dropdown) -> None:
    """A zip that `back_up` made becomes a project again."""
    with gr.Column(min_width=220):
        upload = gr.UploadButton(str(page_text("ui.restore")), file_types=[".zip"], elem_id="restore-project")
    restored = filling(studio, "restore", restore, Selected(picker, slug))
    upload.upload(inputs=upload, **restored, **SHOWING_WORK).success(**CLOSE_SHEET)


def _build_delete(studio: Studio, slug: gr.Textbox, picker: gr.Dropdown) -> None:
    """To the trash, after a tick that says so."""
    with gr.Row(elem_classes="ksh-danger"):
        sure = gr.Checkbox(label=page_text("ui.delete_sure"), elem_id="delete-sure", container=False)
        button = gr.Button(page_text("ui.delete"), variant="stop", elem_id="delete-project", min_width=140, scale=0)
    deleted = filling(studio, "delete_project", delete_project, Deleted(picker, slug, sure))
    button.click(inputs=[slug, sure], **deleted, **QUIET).success(**CLOSE_SHEET)


def choices(visit: Visit) -> list[tuple[str, str]]:
    """The visitor's projects as (name, slug)."""
    return [(_name(project), project.slug) for project in visit.workspace.projects()]


def _name(project: Project) -> str:
    try:
        return project.settings().name
    except StudioError:
        return project.slug  # its file is damaged: still listed, so that it can be opened, backed up or deleted


def _picker(visit: Visit, slug: str) -> gr.Dropdown:
    """The menu of the visitor's projects, with this one selected."""
    return gr.Dropdown(choices=choices(visit), value=slug)


def select_project(visit: Visit, slug: str) -> str:
    """Show another project."""
    return visit.project(slug).slug


def create_project(visit: Visit, name: str) -> Created:
    """Make a new, empty project and show it."""
    if visit.role == "visitor" and len(visit.workspace.projects()) >= VISITOR_PROJECTS:
        raise StudioError("access.too_many_projects", limit=VISITOR_PROJECTS)
    project = visit.workspace.create_project(validated(ProjectSettings, {"name": " ".join((name or "").split())}))
    return Created(_picker(visit, project.slug), project.slug)


def save_settings(visit: Visit, slug: str, **values: object) -> Saved:
    """Change the project's name, trigger and models. Raises StudioError for a model that cannot be used."""
    project = visit.project(slug)
    trigger = config_from(Trigger, {name: values.pop(name) for name in Trigger.model_fields})
    settings = config_from(ProjectSettings, values)
    if settings.base_model:
        base_entry(settings.base_model)
    if settings.captioner:
        captioner_entry(settings.captioner)
    project.change(**(settings.model_dump() | {"trigger": trigger.model_dump()}))
    return Saved(_picker(visit, slug), f"✓ {translate('ui.saved', visit.language)}")


def open_project_folder(visit: Visit, slug: str) -> None:
    """Open the project's folder on the machine that the studio runs on."""
    open_folder(visit.project(slug).root)


def back_up(visit: Visit, slug: str) -> str:
    """Write the project's zip and show the link to it."""
    project = visit.project(slug)
    target = download_folder(project, "backup") / f"{project.slug}-backup.zip"
    backup.back_up(project, target)
    return link(file_url(project, "backup", target.name), translate("ui.download", visit.language), target.name)


def restore(visit: Visit, upload: str) -> Selected:
    """Restore a backed-up project beside the others and show it."""
    project = backup.restore(Path(upload), visit.workspace, known_models=registered_names())
    return Selected(_picker(visit, project.slug), project.slug)


def delete_project(visit: Visit, slug: str, sure: bool) -> Deleted:
    """Move the project to the trash and show the first of the others."""
    if sure is not True:
        raise StudioError("access.not_sure")
    visit.workspace.delete_project(visit.project(slug))
    others = visit.workspace.projects()
    first = others[0].slug if others else ""
    return Deleted(_picker(visit, first), first)


def settings_form(project: Project) -> dict[str, object]:
    """What the set-up panel's form shows of the project's settings, by the setting's name."""
    settings = project.settings()
    names = [name for name in ProjectSettings.model_fields if name != "trigger"]
    values = form_values(settings, names) | form_values(settings.trigger, Trigger.model_fields)
    return {name: value or "" for name, value in values.items()}
