"""A clicked picture, its recipe and seed reused, and the recipe of a dropped file, for each role."""

import gradio as gr
import pytest
from PIL import Image, PngImagePlugin

from ksh_studio.config import GenerateConfig
from ksh_studio.ui.generate import recipe_panel
from ksh_studio.ui.parts.form import config_from
from tests.ui.open_page import ROLES

SETTINGS = {"prompt": "(a <cat> : 1.2)", "num_inference_steps": 6, "sampler": "Euler", "width": 64, "lora_scale": 0.5}


def form_of(page):
    """The settings that the form holds."""
    names = [name for name in GenerateConfig.model_fields if name != "base_model"]
    return config_from(GenerateConfig, {name: page.value(f"generate-{name.replace('_', '-')}") for name in names})


def clicked(page, path):
    return page.press("generate-gallery", "select", path.relative_to(page.project.pictures).as_posix())


@pytest.mark.parametrize("role", ROLES)
def test_a_clicked_picture_is_shown_large_with_its_recipe_and_a_link(opened, drawn, role):
    page = opened(role)
    path = drawn(page.project, **SETTINGS)
    answer = clicked(page, path)
    large = answer["generate-large"]
    assert f"/ksh/mine/picture/{path.parent.name}/{path.name}" in large and f'download="{path.name}"' in large
    assert "Steps: 6" in large and "&lt;cat&gt;" in large
    assert answer["reuse-recipe"]["visible"] and answer["reuse-seed"]["visible"]


@pytest.mark.parametrize("name", ["../../project.json", "", "2026-01-01/00001-1.png", None])
def test_what_is_no_picture_of_the_project_is_refused(opened, drawn, name):
    page = opened("guest")
    drawn(page.project)
    with pytest.raises(gr.Error, match="no picture"):
        page.press("generate-gallery", "select", name)


@pytest.mark.parametrize("role", ROLES)
def test_the_recipe_is_reused_as_a_whole(opened, drawn, role):
    page = opened(role)
    clicked(page, drawn(page.project, **SETTINGS))
    page.set("generate-negative-prompt", "typed since")
    page.press("reuse-recipe")
    settings = form_of(page)
    assert settings.model_dump(include=set(SETTINGS)) == SETTINGS
    assert (settings.seed, settings.negative_prompt) == (7, "")


@pytest.mark.parametrize("role", ROLES)
def test_the_seed_is_reused_alone(opened, drawn, role):
    page = opened(role)
    clicked(page, drawn(page.project, **SETTINGS))
    page.set("generate-prompt", "typed since")
    page.press("reuse-seed")
    assert (form_of(page).seed, form_of(page).prompt, form_of(page).num_inference_steps) == (7, "typed since", None)


@pytest.mark.parametrize("button", ["reuse-recipe", "reuse-seed"])
def test_a_picture_named_by_a_raw_call_is_refused(opened, button):
    page = opened("guest")
    page.set("generate-picture", "../../../x.png")
    with pytest.raises(gr.Error, match="no picture"):
        page.press(button)


@pytest.mark.parametrize("role", ROLES)
def test_a_dropped_picture_restores_its_recipe_and_the_field_is_emptied(opened, drawn, role):
    page = opened(role)
    page.set("drop-recipe", str(drawn(page.project, **SETTINGS)))
    page.press("drop-recipe", "upload")
    assert form_of(page).model_dump(include=set(SETTINGS)) == SETTINGS
    assert page.value("drop-recipe") is None
    assert "All settings" in page.value("recipe-restored")


@pytest.mark.parametrize("role", ROLES)
def test_what_a_dropped_recipe_has_and_the_studio_has_not_is_named(opened, tmp_path, role):
    text = PngImagePlugin.PngInfo()
    text.add_text(
        "parameters", "a fox\nSteps: 5, Sampler: DPM++ SDE <Karras>, CFG scale: 7, Seed: 1, Model: other-base"
    )
    Image.new("RGB", (8, 8)).save(tmp_path / "sde.png", pnginfo=text)
    page = opened(role)
    page.set("drop-recipe", str(tmp_path / "sde.png"))
    page.press("drop-recipe", "upload")
    message = page.value("recipe-restored")
    assert "Sampler: DPM++ SDE &lt;Karras&gt;" in message and "other-base" in message and "pocket" in message.lower()
    assert form_of(page).num_inference_steps == 5


def test_a_dropped_file_without_a_recipe_or_too_large_is_refused(opened, tmp_path, monkeypatch):
    page = opened("guest")
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    page.set("drop-recipe", str(tmp_path / "plain.png"))
    with pytest.raises(gr.Error, match=r"plain\.png"):
        page.press("drop-recipe", "upload")
    monkeypatch.setattr(recipe_panel, "LARGEST_DROP", 10)
    with pytest.raises(gr.Error, match="larger than"):
        page.press("drop-recipe", "upload")


def test_the_owner_opens_the_folder_of_the_pictures(opened, drawn, monkeypatch):
    folders = []
    monkeypatch.setattr(recipe_panel, "open_folder", folders.append)
    page = opened("owner")
    page.press("generate-open-folder")
    drawn(page.project)
    page.press("generate-open-folder")
    assert folders == [page.project.root, page.project.pictures]


@pytest.mark.parametrize("role", ["guest", "visitor"])
def test_nobody_else_opens_a_folder(opened, monkeypatch, role):
    monkeypatch.setattr(recipe_panel, "open_folder", lambda path: pytest.fail("opened"))
    with pytest.raises(gr.Error, match="not possible"):
        opened(role).press("generate-open-folder")
