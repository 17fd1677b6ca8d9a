"""What another project, or another language, changes on the Generate tab, on the whole page."""

import os

import gradio as gr
import pytest

from ksh_studio.models.registry import base_entry
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.ui import app
from ksh_studio.ui.app import build_app
from tests.tiny import tiny_lora_file
from tests.ui.open_page import ROLES


@pytest.fixture
def build():
    return build_app


@pytest.mark.parametrize("role", ROLES)
def test_the_project_fills_the_menu_the_gallery_and_the_numbers_in_grey(opened, drawn, role):
    page = opened(role)
    drawn(page.project)
    tiny_lora_file(page.workspace.loras / "ink.safetensors")
    [answer] = [update for update in page.stream("project-slug", "change") if "generate-gallery" in update]
    assert [value for _, value in answer["generate-lora"].choices] == ["", "loras/ink.safetensors"]
    assert answer["generate-gallery"].count("data-pick") == 1
    pocket = base_entry("pocket")
    grey = {name: answer[f"generate-{name}"].placeholder for name in ("num-inference-steps", "width", "clip-skip")}
    expected = (pocket.num_inference_steps, pocket.native_size, pocket.clip_skip)
    assert grey == dict(zip(grey, map(str, expected), strict=True))
    assert "generate-seed" not in answer


def test_an_odd_lora_file_is_one_line_of_the_menu_and_says_why_when_it_is_chosen(opened, drawn):
    page = opened("owner")
    drawn(page.project)
    tiny_lora_file(page.workspace.loras / "ink.safetensors")
    name = os.fsencode(page.workspace.loras / "x")[:-1] + "그림체.safetensors".encode("cp949")
    os.rename(tiny_lora_file(page.workspace.loras / "x.safetensors"), name)
    [answer] = [update for update in page.stream("project-slug", "change") if "generate-gallery" in update]
    none, ink, (label, value) = answer["generate-lora"].choices
    assert (none[1], ink[1]) == ("", "loras/ink.safetensors") and "Rename the file" in label
    assert answer["generate-gallery"].count("data-pick") == 1
    assert (label + value).encode("utf-8")
    page.set("generate-lora", value)
    page.set("generate-prompt", "a cat")
    with pytest.raises(gr.Error, match="Rename the file"):
        page.press("generate-go")


def test_a_project_without_pictures_says_where_to_begin(opened):
    assert "press Generate" in opened("guest").press("project-slug", "change")["generate-gallery"]


def test_without_a_project_the_tab_stays_as_it_is(opened):
    page = opened("owner")
    page.set("project-slug", "")
    assert "generate-gallery" not in page.press("project-slug", "change")


def test_a_caption_that_looks_like_syntax_is_suggested_as_plain_words(opened, with_drawings):
    page = opened("owner")
    with_drawings(page.project)
    with Catalogue(page.project) as catalogue:
        catalogue.save_caption(catalogue.page(limit=1).rows[0].id, "artoria pendragon (fate) <lora:x:1>")
    prompt = r"artoria pendragon \(fate\) <\lora:x:1> drawn by KSH drawing style"
    assert page.call("ksh_open_forms", page.project.slug)["starts"]["generate"]["prompt"] == prompt


@pytest.mark.parametrize("role", ["owner", "guest"])
def test_using_a_lora_keeps_the_prompt_that_was_typed(opened, monkeypatch, role):
    monkeypatch.setattr(app, "lora_of", lambda *_: "projects/x/jobs/y/loras/z.safetensors")
    page = opened(role)
    page.set("generate-prompt", "1girl, (smile : 1.2)")
    page.press("train-use-lora")
    assert page.value("generate-prompt") == "1girl, (smile : 1.2), drawn by KSH drawing style"
    assert page.value("generate-lora") == "projects/x/jobs/y/loras/z.safetensors"
