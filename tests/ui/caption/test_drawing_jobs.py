"""What the Caption tab shows of imports and exports: while they work, when they have ended, and for whom."""

import gradio as gr
import pytest

from ksh_studio.config import CaptionConfig, ExportConfig, ImportConfig
from ksh_studio.disk import locked
from ksh_studio.events import Finished, Imported, Progress, Stopped, Warned
from ksh_studio.jobs.journal import Journal
from ksh_studio.jobs.owner import take_ownership
from ksh_studio.jobs.start import create_job
from ksh_studio.ui.caption import captioning, drawing_jobs

DONE = Finished(key="import.finished", values={"total": "2", "seconds": "1.0"})


def job_with(project, stage, *events):
    job = create_job(project, stage, {"import": ImportConfig, "export": ExportConfig}[stage]())
    take_ownership(job.folder)
    with Journal(job.events_file) as journal:
        for event in events:
            journal.append(event)
    return job


def shows(update):
    """Names of the parts that an update makes visible."""
    return {name for name, value in update.items() if isinstance(value, dict) and value.get("visible")}


def hides(update):
    return {name for name, value in update.items() if isinstance(value, dict) and value.get("visible") is False}


@pytest.mark.parametrize("role", ["owner", "visitor"])
def test_a_working_import_shows_how_far_it_is_with_the_time_left_and_can_be_stopped(opened, role):
    page = opened(role)
    counts = [Progress(phase="import", done=done, total=4500, time=1000 + done / 100) for done in (0, 1757)]
    job = job_with(page.project, "import", *counts)
    with locked(job.lock, "job.running"):
        shown = page.tick()
        assert "1,757 of 4,500, 27 s left" in shown["import-status"] and "width:39.0%" in shown["import-status"]
        assert {"import-stop", "caption-start"} <= shows(shown) and "import-resume" in hides(shown)
        page.press("import-stop")
    assert job.stop_requested()


def test_one_that_waits_for_other_work_says_so(opened):
    page = opened("owner")
    job = job_with(page.project, "import", Progress(phase="wait", done=0, total=0))
    with locked(job.lock, "job.running"):
        assert "Waiting for other work" in page.tick()["import-status"]


def test_two_imports_are_both_shown_the_earlier_one_first(opened):
    page = opened("owner")
    first = job_with(page.project, "import", Progress(phase="import", done=1, total=9))
    second = job_with(page.project, "import", Progress(phase="wait", done=0, total=0))
    with locked(first.lock, "job.running"), locked(second.lock, "job.running"):
        status = page.tick()["import-status"]
    assert 0 < status.index("1 of 9") < status.index("Waiting")


def test_the_report_stays_after_a_reload_until_something_else_is_begun(opened):
    page = opened("owner")
    report = Imported(added=2, known=0, captions=0, unreadable=(("<b>.psd", "import.reason_damaged"),))
    job_with(page.project, "import", Warned.saying("captions.no_wal"), report, DONE)
    for _ in range(2):
        shown = page.tick()
        assert "2 drawings added" in shown["import-status"] and "&lt;b&gt;.psd" in shown["import-status"]
        page.values.pop(next(part._id for part in page.blocks.blocks.values() if isinstance(part, gr.State)))
    create_job(page.project, "caption", CaptionConfig(captioner="pocket"))
    assert page.tick()["import-status"] == ""


def test_a_killed_import_says_so_and_goes_on_at_a_press(opened, monkeypatch):
    resumed = []
    monkeypatch.setattr(drawing_jobs, "resume_job", resumed.append)
    page = opened("owner")
    job = job_with(page.project, "import", Progress(phase="import", done=1, total=9))
    job.log.write_text("killed", encoding="utf-8")
    shown = page.tick()
    assert "ended unexpectedly" in shown["import-status"] and "killed" in shown["import-status"]
    assert "import-resume" in shows(shown) and "import-stop" in hides(shown)
    page.press("import-resume")
    assert resumed == [job]


def test_a_stopped_import_says_what_is_left(opened):
    page = opened("owner")
    job_with(page.project, "import", Stopped.saying("import.stopped", added=3, left=4))
    shown = page.tick()
    assert "3 drawings were added; 4 files are left" in shown["import-status"] and "import-resume" in hides(shown)


def test_a_guest_sees_and_stops_no_import(opened):
    page = opened("guest")
    job = job_with(page.project, "import", Progress(phase="import", done=1, total=9))
    with locked(job.lock, "job.running"):
        assert page.tick()["import-status"] == ""
        with pytest.raises(gr.Error, match="share link"):
            page.press("import-stop")
    assert not job.stop_requested()


def test_while_drawings_come_in_the_rest_of_the_page_is_not_made_anew_each_second(opened, with_drawings, monkeypatch):
    page = opened("owner")
    job = job_with(page.project, "import", Progress(phase="import", done=1, total=9))
    with locked(job.lock, "job.running"):
        page.tick()
        with_drawings(page.project)
        shown = page.tick()
        assert "2 drawings" in shown["caption-about"] and "caption-stamp" not in shown
        monkeypatch.setattr(captioning, "DRAWINGS_A_STAMP", 1)
        assert "caption-stamp" in page.tick()
    assert "caption-stamp" in page.tick()
