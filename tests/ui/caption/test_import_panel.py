"""Importing on the Caption tab, as each role may do it."""

import json
import shutil

import gradio as gr
import pytest

from ksh_studio.jobs.folder import jobs_of
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.project.catalogue.counting import Count, drawings_of
from ksh_studio.ui.caption import import_panel
from ksh_studio.ui.server.uploads import upload_folder

UPLOAD = "0123456789abcdef" * 2
pytestmark = pytest.mark.usefixtures("at_once")


def send(page, folder):
    """Put the files of a folder where the page's script would have sent them."""
    uploads = upload_folder(page.project, UPLOAD)
    uploads.mkdir(parents=True)
    names = {}
    for number, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        shutil.copyfile(path, uploads / str(number))
        names[str(number)] = path.relative_to(folder).as_posix()
    (uploads / "0.names").write_text(json.dumps(names), encoding="utf-8")


@pytest.mark.parametrize("role", ["owner", "visitor"])
def test_a_dropped_folder_becomes_a_job_whose_report_the_page_shows(opened, drawings, role):
    page = opened(role)
    (drawings / "in").mkdir()
    (drawings / "blue.png").rename(drawings / "in" / "blue.png")
    send(page, drawings)
    answer = page.call("ksh_import", "mine", UPLOAD)
    [job] = jobs_of(page.project, "import")
    assert answer == {"ok": True, "job": job.id}
    shown = page.tick()
    assert "2 drawings added, 0 already here, 1 captions taken over" in shown["import-status"]
    assert drawings_of(page.project) == Count(2, 1)
    with Catalogue(page.project) as catalogue:
        assert {row.source_path for row in catalogue.drawings()} == {"red.png", "in/blue.png"}
    assert not upload_folder(page.project, UPLOAD).exists()


def test_a_file_that_cannot_be_read_is_named_in_the_report(opened, drawings):
    page = opened("owner")
    (drawings / "<b>.png").write_bytes(b"no picture")
    send(page, drawings)
    page.call("ksh_import", "mine", UPLOAD)
    report = page.tick()["import-status"]
    assert "2 drawings added" in report and "&lt;b&gt;.png" in report


def test_files_that_hold_no_drawing_end_the_job_with_a_sentence(opened, tmp_path):
    page = opened("owner")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.zip").write_bytes(b"PK no zip")
    send(page, tmp_path / "texts")
    assert page.call("ksh_import", "mine", UPLOAD)["ok"]
    assert "ksh-bad" in page.tick()["import-status"]


def test_nothing_sent_is_one_sentence(opened):
    page = opened("owner")
    assert "Nothing was chosen" in page.call("ksh_import", "mine", UPLOAD)["message"]
    assert jobs_of(page.project) == []


@pytest.mark.parametrize("call", [["mine", "../" + UPLOAD[3:]], ["mine"], [1, UPLOAD], ["mine", "A" * 32]])
def test_a_call_that_the_page_does_not_make_is_refused(opened, call):
    assert "Reload the page" in opened("owner").call("ksh_import", *call)["message"]


def test_a_guest_imports_nothing(opened, drawings):
    page = opened("guest")
    send(page, drawings)
    assert "share link" in page.call("ksh_import", "mine", UPLOAD)["message"]
    assert drawings_of(page.project).total == 0 and upload_folder(page.project, UPLOAD).is_dir()


def test_an_import_that_cannot_begin_keeps_what_was_sent(opened, drawings, monkeypatch):
    page = opened("owner")
    send(page, drawings)

    def busy(job):
        raise import_panel.StudioError("job.starting")

    with monkeypatch.context() as patched:
        patched.setattr(import_panel, "begin_job", busy)
        assert not page.call("ksh_import", "mine", UPLOAD)["ok"]
    assert jobs_of(page.project) == []
    assert page.call("ksh_import", "mine", UPLOAD)["ok"]
    assert drawings_of(page.project).total == 2


def test_the_owner_imports_a_folder_by_its_path(opened, drawings):
    page = opened("owner")
    page.set("import-folder", f" {drawings} ")
    assert "Starting" in page.press("import-read")["import-status"]
    assert "2 drawings added" in page.tick()["import-status"]
    page.press("import-read")
    assert "0 drawings added, 2 already here" in page.tick()["import-status"]


def test_without_a_path_the_page_asks_for_one(opened):
    with pytest.raises(gr.Error, match="Type the path of a folder first"):
        opened("owner").press("import-read")


def test_a_path_that_is_not_there_is_refused_at_once(opened, tmp_path):
    page = opened("owner")
    page.set("import-folder", str(tmp_path / "nothing"))
    with pytest.raises(gr.Error, match="is not there"):
        page.press("import-read")
    assert jobs_of(page.project) == []


@pytest.mark.parametrize("role", ["guest", "visitor"])
def test_nobody_else_names_a_folder_of_the_machine(opened, drawings, role):
    page = opened(role)
    page.set("import-folder", str(drawings))
    with pytest.raises(gr.Error, match="not possible"):
        page.press("import-read")
    assert drawings_of(page.project).total == 0
