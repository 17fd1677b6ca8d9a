"""Start, Stop and Undo of the Caption tab, and what the page shows of the job, as each role may do and see it."""

import gradio as gr
import pytest

from ksh_studio.config import CaptionConfig
from ksh_studio.disk import locked
from ksh_studio.events import Captioned, Failed, Finished, Progress, Started, Warned
from ksh_studio.generation.worker.handle import Worker
from ksh_studio.jobs.folder import jobs_of
from ksh_studio.jobs.journal import Journal
from ksh_studio.jobs.start import create_job
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.ui.caption import captioning


@pytest.fixture
def started(monkeypatch):
    """The jobs that were started, as (project's slug, stage, settings); none really runs."""
    jobs = []
    monkeypatch.setattr(captioning, "start_job", lambda project, *job: jobs.append((project.slug, *job)))
    return jobs


@pytest.fixture
def ended(monkeypatch):
    """Each time that the worker which draws pictures was ended."""
    times = []
    monkeypatch.setattr(Worker, "end", lambda worker: times.append(worker))
    return times


def job_with(project, *events):
    job = create_job(project, "caption", CaptionConfig(captioner="pocket"))
    with Journal(job.events_file) as journal:
        for event in events:
            journal.append(event)
    return job


def shows(update):
    """Names of the parts that an update makes visible."""
    return {name for name, value in update.items() if isinstance(value, dict) and value.get("visible")}


@pytest.mark.parametrize("role", ["owner", "visitor"])
def test_start_begins_a_job_with_the_settings_of_the_form(opened, with_drawings, started, ended, role):
    page = opened(role)
    with_drawings(page.project)
    page.set("caption-num-beams", 2)
    answer = page.press("caption-start")
    assert started == [("mine", "caption", CaptionConfig(captioner="pocket", num_beams=2))]
    assert len(ended) == 1 and "Starting" in answer["caption-status"]


def test_start_with_a_setting_out_of_its_bounds_names_it(opened, started):
    page = opened("owner")
    page.set("caption-num-beams", 99)
    with pytest.raises(gr.Error, match="Beams"):
        page.press("caption-start")
    assert started == []


def test_a_guest_starts_no_captioning(opened, started, ended):
    with pytest.raises(gr.Error, match="share link"):
        opened("guest").press("caption-start")
    assert started == ended == []


def test_a_visitor_names_no_model_that_is_not_in_the_menu(opened, started):
    page = opened("visitor")
    page.set("caption-captioner", "somebody/model")
    with pytest.raises(gr.Error, match="shared Space"):
        page.press("caption-start")
    assert started == []


def test_a_single_file_as_captioner_is_refused_before_a_job_begins(opened, started, tmp_path):
    page = opened("owner")
    (tmp_path / "blip2.safetensors").write_bytes(b"")
    page.set("caption-captioner", str(tmp_path / "blip2.safetensors"))
    with pytest.raises(gr.Error, match="single file"):
        page.press("caption-start")
    assert started == []


@pytest.mark.parametrize(("role", "ends"), [("visitor", False), ("owner", True)])
def test_only_the_owner_ends_a_picture_by_captioning(opened, with_drawings, started, ended, role, ends):
    page = opened(role)
    with_drawings(page.project)
    with page.studio.worker._busy:
        if ends:
            page.press("caption-start")
        else:
            with pytest.raises(gr.Error, match="already being drawn"):
                page.press("caption-start")
    assert (bool(ended), bool(started)) == (ends, ends)


@pytest.mark.parametrize("role", ["owner", "visitor"])
def test_stop_asks_the_newest_job_to_stop_and_nothing_else(opened, started, role):
    page = opened(role)
    older, newest = job_with(page.project), job_with(page.project)
    page.press("caption-stop")
    assert (older.stop_requested(), newest.stop_requested()) == (False, True)
    assert started == [] and len(jobs_of(page.project, "caption")) == 2


def test_stop_without_a_job_does_nothing(opened):
    assert opened("owner").press("caption-stop") == {}


def test_a_guest_stops_no_captioning(opened):
    page = opened("guest")
    job = job_with(page.project)
    with pytest.raises(gr.Error, match="share link"):
        page.press("caption-stop")
    assert not job.stop_requested()


@pytest.mark.parametrize("role", ["owner", "visitor"])
def test_undo_takes_the_last_change_back_until_there_is_none(opened, with_drawings, role):
    page = opened(role)
    with_drawings(page.project)
    with Catalogue(page.project) as catalogue:
        name = catalogue.page(search="red").rows[0].id
        catalogue.save_caption(name, "by hand")
    assert "The last change" in page.press("caption-undo")["messages"]
    with Catalogue(page.project) as catalogue:
        assert catalogue.drawing(name).caption == "a red square"
    with pytest.raises(gr.Error, match="nothing to undo"):
        page.press("caption-undo")


def test_a_project_without_drawings_is_not_captioned_and_begins_no_job(opened):
    page = opened("owner")
    with pytest.raises(gr.Error, match="no drawings yet"):
        page.press("caption-start")
    assert jobs_of(page.project) == []


def test_the_state_changes_with_what_a_refusal_may_speak_of_and_with_nothing_else(opened, with_drawings):
    page = opened("owner")
    page.tick()
    empty = page.value("page-state")
    with_drawings(page.project)
    page.tick()
    with_captions = page.value("page-state")
    with Catalogue(page.project) as catalogue:
        catalogue.save_caption(catalogue.page(search="red").rows[0].id, "by hand")
    page.tick()
    assert page.value("page-state") == with_captions != empty
    job = job_with(page.project, Started(stage="caption", total=5))
    with locked(job.lock, "job.running"):
        page.tick()
        working = page.value("page-state")
    page.tick()
    assert working != with_captions == page.value("page-state")


def test_a_guest_undoes_nothing(opened, with_drawings):
    page = opened("guest")
    with_drawings(page.project)
    with pytest.raises(gr.Error, match="share link"):
        page.press("caption-undo")


def test_the_page_shows_the_counts_and_then_nothing_until_something_changes(opened, with_drawings):
    page = opened("owner")
    assert "no drawings yet" in page.tick()["caption-about"]
    with_drawings(page.project)
    first = page.tick()
    assert "2 drawings, 1 with a caption" in first["caption-about"] and "drawn by KSH" in first["caption-about"]
    assert "caption-stamp" in first and first["caption-status"] == ""
    assert not {name for name in page.tick() if name.startswith("caption-")}


def test_without_a_project_the_page_shows_nothing(opened):
    page = opened("owner")
    page.set("project-slug", "")
    assert page.tick() == {}


@pytest.mark.parametrize(
    ("role", "idle", "working"),
    [
        ("owner", {"caption-start"}, {"caption-stop"}),
        ("visitor", {"caption-start"}, {"caption-stop"}),
        ("guest", set(), set()),
    ],
)
def test_start_is_there_while_nothing_works_and_stop_while_something_does(opened, role, idle, working):
    page, buttons = opened(role), {"caption-start", "caption-stop"}
    assert shows(page.tick()) & buttons == idle
    job = job_with(page.project, Started(stage="caption", total=5))
    with locked(job.lock, "job.running"):
        assert shows(page.tick()) & buttons == working
    (job.folder / "process.json").write_text("{}")
    with Journal(job.events_file) as journal:
        journal.append(Finished.saying("captions.finished", made=5))
    assert shows(page.tick()) & buttons == idle


def test_the_status_follows_the_job_from_loading_to_its_end(opened):
    page = opened("owner")
    job = job_with(page.project, Progress(phase="load", done=1, total=4))

    def status(*events):
        with Journal(job.events_file) as journal:
            for event in events:
                journal.append(event)
        page.tick()
        return page.value("caption-status")

    with locked(job.lock, "job.running"):
        assert "width:25.0%" in status()
        seen = status(Captioned(drawing="x", caption="a <b>cat", done=2, total=4))
        assert "2 of 4 captions" in seen and "a &lt;b&gt;cat" in seen and "width:50.0%" in seen
        assert "ksh-warn" in status(Warned.saying("models.downloading", name="x"))
    (job.folder / "process.json").write_text("{}")
    assert "ksh-bad" in status(Failed.saying("captions.no_memory", name="x"))


@pytest.mark.parametrize(("role", "log"), [("owner", True), ("visitor", False), ("guest", False)])
def test_a_job_that_ended_unexpectedly_shows_its_log_to_the_owner_only(opened, role, log):
    page = opened(role)
    job = job_with(page.project, Started(stage="caption", total=5))
    (job.folder / "process.json").write_text("{}")
    job.log.write_text("Killed <b>")
    status = page.tick()["caption-status"]
    assert "ended unexpectedly" in status and ("Killed &lt;b&gt;" in status) is log
