"""The project bar: pick, make, rename, set up, back up, restore and delete projects."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from ksh_studio.config import ProjectSettings
from ksh_studio.disk import open_folder
from ksh_studio.errors import StudioError, validated
from ksh_studio.locales import translate
from ksh_studio.models.registry import (
    base_entry,
    base_models,
    captioner_entry,
    captioners,
)
from ksh_studio.project import backup
from ksh_studio.project.workspace import Project
from ksh_studio.ui.access.guard import guarded
from ksh_studio.ui.access.roles import Action
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import VISITOR_PROJECTS, Visit
from ksh_studio.ui.model_choice import field_with_choices
from ksh_studio.ui.parts.form import Form, config_from, field
from ksh_studio.ui.parts.languages import t
from ksh_studio.ui.parts.markup import link
from ksh_studio.ui.parts.theme import html
from ksh_studio.ui.server.files import outgoing, url

QUIET: dict[str, Any] = {"api_visibility": "private", "queue": False}


@dataclass(frozen=True)
class ProjectBar:
    """What the tabs need of the bar."""

    slug: gr.Textbox
    """Slug of the project shown; kept by the browser, so that a restarted studio does not lose it."""
    picker: gr.Dropdown
    settings: Form
    restricted: list[tuple[gr.blocks.Block, Action]]
    """Parts shown only to who may use them."""


def build(studio: Studio) -> ProjectBar:
    """The bar above the tabs."""
    slug = gr.Textbox(visible="hidden", elem_id="project-slug", label="project", container=False)
    with gr.Row(elem_classes="ksh-bar"):
        picker = gr.Dropdown(label=t("ui.project"), elem_id="project-picker", scale=3, min_width=200, filterable=False)
        name = gr.Textbox(label=t("ui.new_name"), elem_id="new-project-name", scale=3, max_lines=1, min_width=180)
        make = gr.Button(t("ui.create"), elem_id="create-project", scale=1, min_width=110)
    with gr.Accordion(t("ui.setup"), open=False, elem_id="project-setup") as setup:
        parts = _Parts(studio, slug, picker)
        settings = parts.settings()
        with gr.Row():
            parts.backup()
            parts.restore()
        parts.delete()
    picker.input(guarded(studio, "look", pick), picker, slug, **QUIET)
    make.click(guarded(studio, "create_project", create), name, [picker, slug, name], **QUIET)
    restricted = [(setup, "settings"), (name, "create_project"), (make, "create_project"), *parts.restricted]
    return ProjectBar(slug, picker, settings, restricted)


@dataclass
class _Parts:
    """The inside of the set-up panel: each part its components and its handlers."""

    studio: Studio
    slug: gr.Textbox
    picker: gr.Dropdown

    def __post_init__(self) -> None:
        self.restricted: list[tuple[gr.blocks.Block, Action]] = []

    def settings(self) -> Form:
        """Name, trigger and models of the project."""
        with gr.Row():
            form = {"name": field("project", "name", elem_id="project-name", max_lines=1)}
            form["text"] = field("trigger", "text", max_lines=1)
            form["position"] = field("trigger", "position")
        with gr.Row():
            form["base_model"] = field_with_choices("project", "base_model", [(m.label, m.name) for m in base_models()])
            form["captioner"] = field_with_choices("project", "captioner", [(c.label, c.name) for c in captioners()])
        form["preview_prompts"] = field("project", "preview_prompts")
        with gr.Row():
            save = gr.Button(t("ui.save_settings"), variant="primary", elem_id="save-settings", min_width=140)
            show = gr.Button(t("ui.open_folder"), elem_id="open-project-folder", min_width=140)
        said = gr.Markdown(elem_id="settings-said")
        outputs = [self.picker, said]
        save.click(guarded(self.studio, "settings", save_settings), self.slug, outputs, inputs_kwargs=form, **QUIET)
        show.click(guarded(self.studio, "open_folder", show_folder), self.slug, None, **QUIET)
        self.restricted.append((show, "open_folder"))
        return form

    def backup(self) -> None:
        """One zip with everything of the project."""
        with gr.Column(min_width=220):
            begin = gr.Button(t("ui.backup"), elem_id="backup-project")
            ready = html("backup-ready")
        begin.click(guarded(self.studio, "backup", back_up), self.slug, ready, api_visibility="private")

    def restore(self) -> None:
        """A zip that `backup` made becomes a project again."""
        with gr.Column(min_width=220):
            upload = gr.UploadButton(t("ui.restore"), file_types=[".zip"], elem_id="restore-project")
        handler = guarded(self.studio, "restore", restore)
        upload.upload(handler, upload, [self.picker, self.slug], api_visibility="private")

    def delete(self) -> None:
        """To the trash, after a tick that says so."""
        with gr.Row(elem_classes="ksh-danger"):
            sure = gr.Checkbox(label=t("ui.delete_sure"), elem_id="delete-sure", container=False)
            go = gr.Button(t("ui.delete"), variant="stop", elem_id="delete-project", min_width=140, scale=0)
        handler = guarded(self.studio, "delete_project", delete)
        go.click(handler, [self.slug, sure], [self.picker, self.slug, sure], **QUIET)


def choices(visit: Visit) -> list[tuple[str, str]]:
    """The visitor's projects as (name, slug)."""
    return [(_name(project), project.slug) for project in visit.workspace.projects()]


def _name(project: Project) -> str:
    try:
        return project.settings().name
    except StudioError:
        return project.slug  # its file is damaged: still listed, so that it can be opened, backed up or deleted


def _picked(visit: Visit, slug: str) -> gr.Dropdown:
    return gr.Dropdown(choices=choices(visit), value=slug)


def pick(visit: Visit, slug: str) -> str:
    """Another project is chosen."""
    return visit.project(slug).slug


def create(visit: Visit, name: str) -> tuple[gr.Dropdown, str, str]:
    """A new, empty project becomes the one shown."""
    if visit.role == "visitor" and len(visit.workspace.projects()) >= VISITOR_PROJECTS:
        raise StudioError("access.too_many_projects", limit=VISITOR_PROJECTS)
    project = visit.workspace.create_project(validated(ProjectSettings, {"name": " ".join((name or "").split())}))
    return _picked(visit, project.slug), project.slug, ""


def save_settings(visit: Visit, slug: str, **values: Any) -> tuple[gr.Dropdown, str]:
    """Name, trigger and models are changed."""
    project = visit.project(slug)
    trigger = config_from("trigger", {name: values.pop(name) for name in ("text", "position")})
    settings = config_from("project", values)
    if settings.base_model:
        base_entry(settings.base_model)
    if settings.captioner:
        captioner_entry(settings.captioner)
    project.change(**(settings.model_dump() | {"trigger": trigger.model_dump()}))
    return _picked(visit, slug), f"✓ {translate('ui.saved', visit.language)}"


def show_folder(visit: Visit, slug: str) -> None:
    """Open the project's folder on the machine the studio runs on."""
    open_folder(visit.project(slug).root)


def back_up(visit: Visit, slug: str) -> str:
    """Write the project's zip and show the link to it."""
    project = visit.project(slug)
    folder = outgoing(project, "backup")
    target = folder / f"{project.slug}-backup.zip"
    backup.back_up(project, target)
    return link(url(project, "backup", target.name), translate("ui.download", visit.language), target.name)


def restore(visit: Visit, upload: str) -> tuple[gr.Dropdown, str]:
    """A backed-up project comes back beside the others."""
    project = backup.restore(Path(upload), visit.workspace)
    return _picked(visit, project.slug), project.slug


def delete(visit: Visit, slug: str, sure: bool) -> tuple[gr.Dropdown, str, bool]:
    """The project goes to the trash and the first of the others is shown."""
    if sure is not True:
        raise StudioError("access.not_sure")
    visit.workspace.delete_project(visit.project(slug))
    left = visit.workspace.projects()
    shown = left[0].slug if left else ""
    return _picked(visit, shown), shown, False


def settings_shown(names: list[str]) -> Any:
    """The handler that fills the set-up panel, of these settings."""

    def fill(visit: Visit, slug: str) -> list[Any]:
        if not slug:
            return [gr.skip() for _ in names]
        settings = visit.project(slug).settings()
        values: dict[str, Any] = settings.model_dump() | settings.trigger.model_dump()
        values["preview_prompts"] = "\n".join(settings.preview_prompts)
        return [values[name] or "" for name in names]

    return fill
