"""The two calls of the grid, as each role may make them."""

import pytest

from ksh_studio.project.catalogue import Catalogue
from ksh_studio.ui.parts.drafts import draft_place
from tests.ui.open_page import ROLES


@pytest.mark.parametrize("role", ROLES)
def test_everybody_sees_a_page_of_the_drawings_and_who_may_edit_them(opened, with_drawings, role):
    page = opened(role)
    with_drawings(page.project)
    answer = page.call("ksh_rows", "mine", "", "all", 0, 10)
    assert answer["ok"] and answer["total"] == 2
    assert [row["name"] for row in answer["rows"]] == ["blue.png", "red.png"]
    assert answer["place"] == draft_place(page.project)
    assert {row["editable"] for row in answer["rows"]} == {role != "guest"}
    assert [row["name"] for row in page.call("ksh_rows", "mine", "", "all", 1, 10)["rows"]] == ["red.png"]


def test_drawings_are_searched_and_narrowed_down(opened, with_drawings):
    page = opened("owner")
    with_drawings(page.project)
    assert [row["name"] for row in page.call("ksh_rows", "mine", "square", "all", 0, 10)["rows"]] == ["red.png"]
    assert [row["name"] for row in page.call("ksh_rows", "mine", "", "empty", 0, 10)["rows"]] == ["blue.png"]


def test_a_project_without_drawings_has_an_empty_page(opened):
    page = opened("owner")
    nothing = {"ok": True, "total": 0, "rows": [], "place": draft_place(page.project)}
    assert page.call("ksh_rows", "mine", "", "all", 0, 10) == nothing


@pytest.mark.parametrize("role", ["owner", "visitor"])
def test_a_caption_is_saved_and_one_changed_elsewhere_is_not_overwritten(opened, with_drawings, role):
    page = opened(role)
    with_drawings(page.project)
    row = page.call("ksh_rows", "mine", "", "all", 0, 1)["rows"][0]
    saved = page.call("ksh_save", "mine", row["id"], "a blue square", row["revision"])
    assert saved["ok"] and not saved["conflict"]
    assert (saved["row"]["caption"], saved["row"]["source"]) == ("a blue square", "person")
    again = page.call("ksh_save", "mine", row["id"], "another", row["revision"])
    assert again["ok"] and again["conflict"] and again["row"]["caption"] == "a blue square"


def test_a_guest_saves_nothing(opened, with_drawings):
    page = opened("guest")
    with_drawings(page.project)
    row = page.call("ksh_rows", "mine", "", "all", 1, 1)["rows"][0]
    answer = page.call("ksh_save", "mine", row["id"], "changed", row["revision"])
    assert not answer["ok"] and "share link" in answer["message"]
    with Catalogue(page.project) as catalogue:
        assert catalogue.drawing(row["id"]).caption == "a red square"


@pytest.mark.parametrize(
    "values", [(), ("mine",), ("mine", "", "all", "0", 10), ("mine", "", "nothing", 0, 10), (None, "", "all", 0, 10)]
)
def test_a_call_that_the_page_does_not_make_is_refused(opened, with_drawings, values):
    page = opened("owner")
    with_drawings(page.project)
    answer = page.call("ksh_rows", *values)
    assert not answer["ok"] and "Reload the page" in answer["message"]


@pytest.mark.parametrize("values", [("mine", "x", 5, 0), ("mine", "x", "a", True), ("mine", "x", "a" * 4001, 0)])
def test_a_caption_that_cannot_be_one_is_refused(opened, with_drawings, values):
    page = opened("owner")
    with_drawings(page.project)
    assert not page.call("ksh_save", *values)["ok"]


def test_a_caption_for_a_project_without_drawings_is_refused(opened):
    answer = opened("owner").call("ksh_save", "mine", "x", "a", 0)
    assert not answer["ok"] and "Reload the page" in answer["message"]
