"""What a page is told about its forms when it shows a project."""

import pytest

from ksh_studio.ui.parts.drafts import draft_place
from tests.tiny import tiny_lora_file
from tests.ui.open_page import ROLES


@pytest.mark.parametrize("role", ROLES)
def test_one_click_draws_the_newest_style_with_a_prompt_of_the_project(opened, with_drawings, role):
    page = opened(role)
    start = page.call("ksh_open_forms", "mine")["starts"]["generate"]
    assert (start["prompt"], start["lora"]) == ("drawn by KSH drawing style", "")
    with_drawings(page.project)
    loras = page.project.jobs / "one" / "loras"
    loras.mkdir(parents=True)
    tiny_lora_file(loras / "ink-000500.safetensors")
    start = page.call("ksh_open_forms", "mine")["starts"]["generate"]
    assert start["prompt"] == "a red square drawn by KSH drawing style"
    assert start["lora"] == "projects/mine/jobs/one/loras/ink-000500.safetensors"
    assert (start["sampler"], start["seed"], start["batch_size"]) == ("Euler a", "", 1)


def test_the_set_up_form_begins_with_what_the_project_has(opened):
    page = opened("owner")
    page.project.change(preview_prompts=("a cat", "a dog"))
    settings = page.call("ksh_open_forms", "mine")["starts"]["settings"]
    assert settings == {
        "name": "Mine",
        "text": "drawn by KSH drawing style",
        "position": "end",
        "base_model": "pocket",
        "captioner": "pocket",
        "preview_prompts": "a cat\na dog",
    }


def test_the_page_learns_which_drafts_may_go(opened):
    page = opened("owner")
    answer = page.call("ksh_open_forms", "mine")
    assert answer["place"] == draft_place(page.project)
    assert answer["places"] == [draft_place(project) for project in page.workspace.projects()]


@pytest.mark.parametrize("values", [(), ("mine", 1), (None,), ("../mine",), ("nothing",)])
def test_a_call_that_the_page_does_not_make_is_refused(opened, values):
    assert not opened("guest").call("ksh_open_forms", *values)["ok"]


def test_the_forms_are_given_what_was_kept_before_the_server_does_anything_else(opened):
    page = opened("owner")
    slug = page.part("project-slug")._id
    events = [fn for fn in page.blocks.fns.values() if (slug, "change") in fn.targets]
    on_server = [number for number, fn in enumerate(events) if fn.fn is not None]
    restoring = [number for number, fn in enumerate(events) if "kshForms.restore" in str(fn.js)]
    assert len(restoring) == 6 and max(restoring) < min(on_server)
