"""Exporting on the Caption tab, as each role may do it."""

import zipfile

import gradio as gr
import pytest

from ksh_studio.ui.server.files import download_folder


@pytest.mark.parametrize("role", ["owner", "visitor"])
@pytest.mark.parametrize(
    ("kind", "name", "inside"),
    [
        ("imagefolder", "mine-imagefolder.zip", "train/metadata.jsonl"),
        ("info.csv", "mine-info_csv.zip", "info.csv"),
        ("txt", "mine-txt.zip", ".txt"),
        ("kohya", "mine-kohya.zip", "10_ksh/"),
    ],
)
def test_each_format_becomes_a_zip_with_a_link_to_it(opened, with_drawings, role, kind, name, inside):
    page = opened(role)
    with_drawings(page.project)
    page.set("export-kind", kind)
    updates = list(page.stream("export-start"))
    assert "ksh-status" in updates[0]["export-ready"]
    assert f'href="/ksh/mine/export/{name}"' in page.value("export-ready")
    with zipfile.ZipFile(download_folder(page.project, "export") / name) as archive:
        assert any(inside in entry for entry in archive.namelist())


def test_a_second_export_takes_the_place_of_the_first(opened, with_drawings):
    page = opened("owner")
    with_drawings(page.project)
    for _ in range(2):
        page.press("export-start")
    assert [path.name for path in download_folder(page.project, "export").iterdir()] == ["mine-imagefolder.zip"]


def test_warnings_stand_beside_the_link(opened, with_drawings):
    page = opened("owner")
    with_drawings(page.project)
    next(page.project.drawings.glob("*.webp")).unlink()
    page.press("export-start")
    assert "ksh-warn" in page.value("export-ready") and "href=" in page.value("export-ready")


def test_without_drawings_there_is_a_sentence_and_neither_progress_nor_link(opened):
    page = opened("owner")
    with pytest.raises(gr.Error):
        page.press("export-start")
    assert page.value("export-ready") == ""


def test_an_unknown_format_is_refused(opened, with_drawings):
    page = opened("owner")
    with_drawings(page.project)
    page.set("export-kind", "../x")
    with pytest.raises(gr.Error, match="Reload the page"):
        page.press("export-start")


def test_a_guest_exports_nothing(opened, with_drawings):
    page = opened("guest")
    with_drawings(page.project)
    with pytest.raises(gr.Error, match="share link"):
        page.press("export-start")
    assert not any(download_folder(page.project, "export").iterdir())
