"""The two calls of the grid, as each role may make them."""

import os
from typing import get_args

import gradio as gr
import pytest

from ksh_studio.disk import locked
from ksh_studio.locales import LANGUAGES, translate
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.project.catalogue.rows import Source
from ksh_studio.ui.caption.tab import FILTERS
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


def overwritten(project):
    project.captions_db.write_bytes(b"not a database, but long enough to be taken for one" * 100)


def emptied(project):
    project.captions_db.write_bytes(b"")
    for log in project.root.glob("captions.db-*"):
        log.unlink()


def removed(project):
    emptied(project)
    project.captions_db.unlink()


def a_device(project):
    project.captions_db.unlink()
    project.captions_db.symlink_to("/dev/full")


DAMAGES = {
    overwritten: "is damaged. Restore the project from a backup",
    emptied: "2 drawings in",
    removed: "2 drawings in",
    a_device: "captions.db",
}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no full device")
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_drawings_whose_list_cannot_be_read_are_not_taken_for_none(opened, with_drawings, damage):
    page = opened("owner")
    damage(with_drawings(page.project))
    answer = page.call("ksh_rows", "mine", "", "all", 0, 10)
    assert not answer["ok"] and DAMAGES[damage] in answer["message"]
    assert DAMAGES[damage] in page.tick()["caption-about"].unescape()
    with pytest.raises(gr.Error):  # and nothing is begun on a list that was lost
        page.press("caption-start")
    if damage in (emptied, removed):
        with_drawings(page.project)  # importing again is the remedy that it names
        assert page.call("ksh_rows", "mine", "", "all", 0, 10)["total"] == 2
        assert "2 drawings, 1 with a caption" in page.tick()["caption-about"]


def test_drawings_that_an_older_list_does_not_know_are_counted_and_the_others_shown(opened, with_drawings):
    page = opened("owner")
    with_drawings(page.project)
    drawing = next(page.project.drawings.glob("*.webp"))
    (page.project.drawings / "0123456789abcdef.webp").write_bytes(drawing.read_bytes())
    about = page.tick()["caption-about"]
    assert "1 drawings in" in about and "2 drawings, 1 with a caption" in about
    assert page.call("ksh_rows", "mine", "", "all", 0, 10)["total"] == 2
    with locked(page.project.drawings_lock, "import.busy"):  # an import writes the drawing first
        assert "1 drawings in" not in page.tick()["caption-about"]


def test_each_source_of_a_caption_has_its_label_and_its_filter_under_the_same_words():
    sources = [source for source in get_args(Source) if source]
    filters = {"person": "person", "captioner": "auto", "file": "file"}
    assert sorted(filters) == sorted(sources) and set(filters.values()) | {"all", "empty"} == set(FILTERS)
    for language in LANGUAGES:
        for source, name in filters.items():
            label = translate(f"caption_tab.grid_by_{source}", language)
            assert label == translate(f"caption_tab.show_{name}", language)
