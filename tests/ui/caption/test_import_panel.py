"""Importing on the Caption tab, as each role may do it."""

import zipfile

import gradio as gr
import pytest

from ksh_studio.project.catalogue.counting import Count, drawings_of


@pytest.mark.parametrize("role", ["owner", "visitor"])
def test_dropped_files_are_imported_with_progress_and_a_report_and_the_field_is_emptied(opened, drawings, role):
    page = opened(role)
    page.set("import-files", [str(path) for path in sorted(drawings.iterdir())])
    updates = list(page.stream("import-files", "upload"))
    assert "ksh-status" in updates[0]["import-report"]
    assert "2 drawings added, 0 already here, 1 captions taken over" in page.value("import-report")
    assert updates[-1] == {"import-files": None}
    assert drawings_of(page.project) == Count(2, 1)


def test_a_file_that_cannot_be_read_is_named_in_the_report(opened, drawings):
    page = opened("owner")
    (drawings / "<b>.png").write_bytes(b"no picture")
    page.set("import-files", [str(drawings / "<b>.png"), str(drawings / "red.png")])
    page.press("import-files", "upload")
    assert "1 drawings added" in page.value("import-report") and "&lt;b&gt;.png: " in page.value("import-report")


def test_after_a_zip_that_is_none_neither_progress_nor_file_is_left_in_the_panel(opened, drawings):
    page = opened("owner")
    (drawings / "broken.zip").write_bytes(b"PK no zip")
    page.set("import-files", [str(drawings / "broken.zip")])
    with pytest.raises(gr.Error):
        page.press("import-files", "upload")
    assert page.value("import-report") == "" and page.value("import-files") is None


def test_a_zip_of_a_folder_is_imported(opened, drawings, tmp_path):
    page = opened("visitor")
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.write(drawings / "blue.png", "blue.png")
    page.set("import-files", [str(tmp_path / "mine.zip")])
    page.press("import-files", "upload")
    assert drawings_of(page.project).total == 1


def test_the_owner_imports_a_folder_by_its_path(opened, drawings):
    page = opened("owner")
    page.set("import-folder", f" {drawings} ")
    page.press("import-read")
    assert "2 drawings added" in page.value("import-report")
    page.press("import-read")
    assert "0 drawings added, 2 already here" in page.value("import-report")


def test_without_a_path_the_page_asks_for_one(opened):
    with pytest.raises(gr.Error, match="Type the path of a folder first"):
        opened("owner").press("import-read")


@pytest.mark.parametrize("role", ["guest", "visitor"])
def test_nobody_else_names_a_folder_of_the_machine(opened, drawings, role):
    page = opened(role)
    page.set("import-folder", str(drawings))
    with pytest.raises(gr.Error, match="not possible"):
        page.press("import-read")
    assert drawings_of(page.project).total == 0


def test_a_guest_imports_no_files(opened, drawings):
    page = opened("guest")
    page.set("import-files", [str(drawings / "red.png")])
    with pytest.raises(gr.Error, match="share link"):
        page.press("import-files", "upload")
    assert drawings_of(page.project).total == 0
