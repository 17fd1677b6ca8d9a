"""A picture seen large with its recipe: reuse it, take its seed, download it; or drop a PNG to have its recipe back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from ksh_studio.disk import inside, open_folder
from ksh_studio.errors import StudioError
from ksh_studio.generation.pictures.recipe import read_recipe
from ksh_studio.locales import translate
from ksh_studio.ui.access.guard import guarded
from ksh_studio.ui.access.roles import Action
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.generate.view import picture_or_error
from ksh_studio.ui.parts.form import Form, form_values
from ksh_studio.ui.parts.languages import t
from ksh_studio.ui.parts.markup import esc, link
from ksh_studio.ui.parts.theme import html
from ksh_studio.ui.server.files import url

QUIET: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
LARGEST_DROP = 64_000_000


@dataclass(frozen=True)
class RecipePanel:
    """The parts that only some may use."""

    restricted: list[tuple[gr.blocks.Block, Action]]

    @staticmethod
    def build(studio: Studio, slug: gr.Textbox, form: Form, pictures: gr.HTML) -> "RecipePanel":
        """The panel under the gallery; `pictures` says which picture was clicked."""
        chosen = gr.Textbox(visible="hidden", elem_id="generate-chosen", label="picture", container=False)
        large = html("generate-large")
        with gr.Row(elem_classes="ksh-actions"):
            reuse = gr.Button(t("generate_tab.reuse"), elem_id="reuse-recipe", visible=False)
            seed = gr.Button(t("generate_tab.reuse_seed"), elem_id="reuse-seed", visible=False)
            show = gr.Button(t("ui.open_folder"), elem_id="generate-open-folder")
        with gr.Accordion(t("generate_tab.drop"), open=False):
            drop = gr.File(file_types=[".png"], label=t("generate_tab.drop"), elem_id="drop-recipe", height=110)
        names = list(form)
        seen = [chosen, large, reuse, seed]
        pictures.select(guarded(studio, "download_picture", select), slug, seen, **QUIET)
        again = guarded(studio, "generate", recipe_again(names))
        reuse.click(again, [slug, chosen], list(form.values()), **QUIET)
        seed.click(guarded(studio, "generate", seed_again), [slug, chosen], form["seed"], **QUIET)
        dropped = guarded(studio, "generate", recipe_dropped(names))
        drop.upload(dropped, [slug, drop], [*form.values(), drop], **QUIET)
        show.click(guarded(studio, "open_folder", show_folder), slug, None, **QUIET)
        return RecipePanel([(show, "open_folder")])


def select(visit: Visit, slug: str, event: gr.EventData) -> list[Any]:
    """The clicked picture large, with its recipe and a link."""
    project = visit.project(slug)
    clicked = event._data if isinstance(event._data, dict) else {}
    name = picture_or_error(project, str(clicked.get("value", "")))
    text = read_recipe(project.pictures / name).parameters
    address = esc(url(project, "picture", name))
    download = link(url(project, "picture", name), translate("ui.download", visit.language), Path(name).name)
    shown = f'<img src="{address}" alt="{esc(name)}"><pre>{esc(text)}</pre>{download}'
    return [name, f'<div class="ksh-large">{shown}</div>', gr.update(visible=True), gr.update(visible=True)]


def recipe_again(names: list[str]) -> Any:
    """The handler that fills the form, of these settings, from the chosen picture."""

    def reuse(visit: Visit, slug: str, chosen: str) -> list[Any]:
        project = visit.project(slug)
        name = picture_or_error(project, chosen)
        return list(form_values(read_recipe(inside(project.pictures, name)).config, names).values())

    return reuse


def recipe_dropped(names: list[str]) -> Any:
    """The handler that fills the form, of these settings, from a dropped PNG."""

    def read(visit: Visit, slug: str, upload: str) -> list[Any]:
        path = Path(upload)
        if path.stat().st_size > LARGEST_DROP:
            raise StudioError("generate_tab.too_large", limit=LARGEST_DROP // 1_000_000)
        return [*form_values(read_recipe(path).config, names).values(), None]

    return read


def seed_again(visit: Visit, slug: str, chosen: str) -> int | None:
    """The seed of the chosen picture."""
    project = visit.project(slug)
    return read_recipe(inside(project.pictures, picture_or_error(project, chosen))).config.seed


def show_folder(visit: Visit, slug: str) -> None:
    """Open the folder of the project's pictures on the machine the studio runs on."""
    project = visit.project(slug)
    open_folder(project.pictures if project.pictures.is_dir() else project.root)
