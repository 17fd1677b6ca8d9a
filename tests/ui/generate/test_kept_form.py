"""The Generate form on the disk: whose it is, which of two is the newer, and what is not taken."""

import math

import pytest

from ksh_studio.ui.app import build_app
from ksh_studio.ui.generate import kept_form as store
from ksh_studio.ui.generate.kept_form import kept_form
from tests.ui.open_page import ROLES, OpenPage

TYPED = {"prompt": "a cat, 고양이", "negative_prompt": "", "sampler": "Euler a", "lora_scale": 0.8, "seed": "7"}


@pytest.fixture
def build():
    return build_app


@pytest.mark.parametrize("role", ROLES)
def test_a_form_stands_there_again_for_whoever_typed_it(opened, role):
    page = opened(role)
    assert page.call("ksh_open_forms", "mine")["revision"] == 0
    assert page.call("ksh_keep_form", "mine", 3, TYPED) == {"ok": True, "kept": True, "revision": 3}
    again = page.call("ksh_open_forms", "mine")
    assert (again["revision"], again["values"]) == (3, TYPED)
    forms = sorted(path.name for path in page.project.generate_form().parent.iterdir())
    assert len(forms) == 1 and (forms == ["owner.json"]) == (role != "guest")


def test_guests_and_the_owner_each_have_their_own(opened):
    page = opened("guest")
    page.call("ksh_keep_form", "mine", 1, {"prompt": "the guest's"})
    other = OpenPage(page.studio, "guest", page.blocks)
    other.set("project-slug", "mine")
    other.request.request.cookies["access-token-x"] = "another login"
    other.request.request.app.tokens["another login"] = "guest"
    assert other.call("ksh_open_forms", "mine")["values"] == {}
    other.call("ksh_keep_form", "mine", 1, {"prompt": "the other's"})
    assert page.call("ksh_open_forms", "mine")["values"] == {"prompt": "the guest's"}
    assert kept_form(page.project.generate_form()) is None


def test_an_older_form_does_not_replace_a_newer_one(opened):
    page = opened("owner")
    page.call("ksh_keep_form", "mine", 7, TYPED)
    assert page.call("ksh_keep_form", "mine", 6, {"prompt": "late"}) == {"ok": True, "kept": False, "revision": 7}
    assert page.call("ksh_open_forms", "mine")["values"] == TYPED
    assert page.call("ksh_keep_form", "mine", 8, {"prompt": ""})["kept"]
    assert page.call("ksh_open_forms", "mine")["values"] == {"prompt": ""}


@pytest.mark.parametrize(
    ("revision", "values"),
    [
        (-1, {}), (1.5, {}), (True, {}), (1, []), (1, {"prompt": ["a"]}), (1, {"prompt": "a" * 20_001}),
        (1, {"lora_scale": math.inf}), (1, {"prompt": {"a": 1}}), (1, {"prompt": "\ud800"}),
    ],
)  # fmt: skip
def test_what_no_form_can_hold_is_refused(opened, revision, values):
    page = opened("owner")
    assert not page.call("ksh_keep_form", "mine", revision, values)["ok"]
    assert kept_form(page.project.generate_form()) is None


def test_names_that_are_no_settings_are_left_out(opened):
    page = opened("owner")
    page.call("ksh_keep_form", "mine", 1, {"prompt": "a cat", "base_model": "/etc/passwd", "x" * 1000: "y"})
    assert page.call("ksh_open_forms", "mine")["values"] == {"prompt": "a cat"}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"revision": "x"}', "\0"])
def test_a_damaged_file_is_as_none_and_is_written_over(opened, content):
    page = opened("owner")
    path = page.project.generate_form()
    path.parent.mkdir()
    path.write_text(content)
    assert page.call("ksh_open_forms", "mine")["values"] == {}
    assert page.call("ksh_keep_form", "mine", 1, TYPED)["kept"]
    assert kept_form(path).values == TYPED


def test_guests_do_not_fill_the_disk(opened, monkeypatch):
    monkeypatch.setattr(store, "MOST_GUESTS", 2)
    page = opened("guest")
    page.call("ksh_keep_form", "mine", 1, TYPED)
    folder = page.project.generate_form().parent
    page.project.generate_form().write_text((next(folder.iterdir())).read_text())
    for number in range(3):
        (folder / f"guest-{number}.json").write_text("{}")
    page.call("ksh_keep_form", "mine", 2, TYPED)
    assert len(list(folder.glob("guest-*.json"))) == 2 and (folder / "owner.json").is_file()
    assert page.call("ksh_open_forms", "mine")["values"] == TYPED
