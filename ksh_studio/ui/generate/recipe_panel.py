"""A picture seen large with its recipe: reuse it or its seed, download it, or restore the recipe of a dropped PNG."""

from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from ksh_studio.config import GenerateConfig
from ksh_studio.errors import StudioError
from ksh_studio.generation.pictures.recipe import model_name, read_recipe
from ksh_studio.models.registry import base_entry
from ksh_studio.paths import inside
from ksh_studio.ui.access.guard import filling, guarded
from ksh_studio.ui.access.roles import Action
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.generate.form import FORM
from ksh_studio.ui.generate.project_files import known_picture
from ksh_studio.ui.generate.view import picture_with_recipe, restored_note
from ksh_studio.ui.model_choice import base_of
from ksh_studio.ui.parts.form import Form, form_values
from ksh_studio.ui.parts.languages import page_text
from ksh_studio.ui.parts.outputs import QUIET, Update, clicked_value, visible
from ksh_studio.ui.parts.theme import html
from ksh_studio.ui.server.file_browser import open_folder
from ksh_studio.ui.server.files import file_url

LARGEST_DROP = 64_000_000
"""Bytes of a PNG that may be dropped."""


@dataclass(frozen=True)
class ShownPicture:
    """The picture that was clicked, and the components that show it."""

    name: gr.Textbox | str
    large: gr.HTML | str
    reuse: gr.Button | Update
    reuse_seed: gr.Button | Update


@dataclass(frozen=True)
class Restored:
    """The settings in a dropped PNG, and the components of the form; the field is emptied for the next PNG."""

    form: Form | dict[str, object]
    note: gr.HTML | str
    file: gr.File | None = None


def build_recipe_panel(
    studio: Studio, slug: gr.Textbox, form: Form, pictures: gr.HTML
) -> list[tuple[gr.blocks.Block, Action]]:
    """Build the panel under the gallery; `pictures` says which picture was clicked. Returns what only some may use."""
    name = gr.Textbox(visible="hidden", elem_id="generate-picture", label="picture", container=False)
    large = html("generate-large")
    with gr.Row(elem_classes="ksh-actions"):
        reuse = gr.Button(page_text("generate_tab.reuse"), elem_id="reuse-recipe", visible=False)
        reuse_seed = gr.Button(page_text("generate_tab.reuse_seed"), elem_id="reuse-seed", visible=False)
        folder = gr.Button(page_text("ui.open_folder"), elem_id="generate-open-folder")
    with gr.Accordion(page_text("generate_tab.drop"), open=False):
        file = gr.File(file_types=[".png"], label=page_text("generate_tab.drop"), elem_id="drop-recipe", height=110)
        restored = html("recipe-restored")
    parts = ShownPicture(name, large, reuse, reuse_seed)
    pictures.select(inputs=slug, **filling(studio, "download_picture", show_picture, parts), **QUIET)
    reuse.click(inputs=[slug, name], **filling(studio, "generate", reuse_recipe, form), **QUIET)
    reuse_seed.click(inputs=[slug, name], **filling(studio, "generate", recipe_seed, form["seed"]), **QUIET)
    restore = filling(studio, "generate", restore_recipe, Restored(form, restored, file))
    file.upload(inputs=[slug, file], **restore, **QUIET)
    folder.click(guarded(studio, "open_folder", open_pictures_folder), slug, None, **QUIET)
    return [(folder, "open_folder")]


def show_picture(visit: Visit, slug: str, event: gr.EventData) -> ShownPicture:
    """The clicked picture large, with its recipe and a link."""
    project = visit.project(slug)
    name = known_picture(project, clicked_value(event))
    parameters = read_recipe(project.pictures / name).parameters
    large = picture_with_recipe(file_url(project, "picture", name), name, parameters, visit.language)
    return ShownPicture(name, large, visible(True), visible(True))


def reuse_recipe(visit: Visit, slug: str, name: str) -> dict[str, object]:
    """The settings of the picture that is shown, for the form."""
    return _for_form(_config_of(visit, slug, name))


def recipe_seed(visit: Visit, slug: str, name: str) -> int | None:
    """The seed of the picture that is shown."""
    return _config_of(visit, slug, name).seed


def restore_recipe(visit: Visit, slug: str, upload: str) -> Restored:
    """The settings in a PNG that was dropped on the page, for the form, and what of its recipe is not among them."""
    path = Path(upload)
    if path.stat().st_size > LARGEST_DROP:
        raise StudioError("generate_tab.too_large", limit=LARGEST_DROP // 1_000_000)
    recipe = read_recipe(path)
    base = base_entry(base_of(visit, visit.project(slug)))
    return Restored(_for_form(recipe.config), restored_note(recipe, model_name(base), visit.language))


def open_pictures_folder(visit: Visit, slug: str) -> None:
    """Open the folder of the project's pictures on the machine that the studio runs on."""
    project = visit.project(slug)
    open_folder(project.pictures if project.pictures.is_dir() else project.root)


def _config_of(visit: Visit, slug: str, name: str) -> GenerateConfig:
    project = visit.project(slug)
    return read_recipe(inside(project.pictures, known_picture(project, name))).config


def _for_form(config: GenerateConfig) -> dict[str, object]:
    return form_values(config, FORM)
