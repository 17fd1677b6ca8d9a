"""Exporting on the Caption tab, as each role may do it."""

import re
import zipfile

import gradio as gr
import pytest

from ksh_studio.jobs.folder import jobs_of

pytestmark = pytest.mark.usefixtures("at_once")


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
    assert "Starting" in page.press("export-start")["export-status"]
    [job] = jobs_of(page.project, "export")
    assert f'href="/ksh/mine/export/{job.id}/{name}"' in page.tick()["export-status"]
    with zipfile.ZipFile(job.folder / name) as archive:
        assert any(inside in entry for entry in archive.namelist())


@pytest.mark.parametrize("names", ["original", "id"])
def test_the_files_are_called_as_chosen(opened, with_drawings, names):
    page = opened("owner")
    with_drawings(page.project)
    page.set("export-names", names)
    page.press("export-start")
    [zipped] = page.project.jobs.glob("*/*.zip")
    with zipfile.ZipFile(zipped) as archive:
        by_ids = all(re.search("[0-9a-f]{16}", name) for name in archive.namelist() if name.endswith(".webp"))
    assert by_ids == (names == "id")


def test_a_second_export_takes_the_place_of_the_first(opened, with_drawings):
    page = opened("owner")
    with_drawings(page.project)
    for _ in range(2):
        page.press("export-start")
    newest = jobs_of(page.project, "export")[0]
    assert [path.parent for path in page.project.jobs.glob("*/*.zip")] == [newest.folder]
    assert newest.id in page.tick()["export-status"]


def test_warnings_stand_beside_the_link(opened, with_drawings):
    page = opened("owner")
    with_drawings(page.project)
    next(page.project.drawings.glob("*.webp")).unlink()
    page.press("export-start")
    status = page.tick()["export-status"]
    assert "ksh-warn" in status and "href=" in status


def test_without_drawings_there_is_a_sentence_and_no_job(opened):
    page = opened("owner")
    with pytest.raises(gr.Error, match="no drawings to export"):
        page.press("export-start")
    assert jobs_of(page.project) == []


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
    assert jobs_of(page.project) == []
