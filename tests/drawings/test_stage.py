"""Import and export as jobs, in this process and in one of their own that is stopped or killed."""

import json
import os
import signal
import zipfile

import psutil
import pytest

from ksh_studio.config import CaptionConfig, ExportConfig, ImportConfig, TrainConfig
from ksh_studio.disk import is_locked, locked
from ksh_studio.drawings import groups
from ksh_studio.drawings.stage import uploaded_names
from ksh_studio.errors import StudioError
from ksh_studio.events import Finished, Imported, Progress
from ksh_studio.jobs import process
from ksh_studio.jobs.folder import jobs_of, running_job
from ksh_studio.jobs.owner import owner_of
from ksh_studio.jobs.process import run_job
from ksh_studio.jobs.queue import next_job
from ksh_studio.jobs.requests import request_stop
from ksh_studio.jobs.start import begin_job, create_job, own_device, start_job
from ksh_studio.jobs.status import job_events, job_status
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.stages import stage_events
from tests.drawings.pictures import save_pictures
from tests.faults.counting import wait_for


def upload(job, *names):
    """Put pictures of these names where a page puts what was dropped on it."""
    save_pictures(job.uploads, *(f"{number}.png" for number in range(len(names))))
    stored = {}
    for number, name in enumerate(names):
        (job.uploads / f"{number}.png").rename(job.uploads / f"{number}")
        stored[f"{number}"] = name
    (job.uploads / "0.names").write_text(json.dumps(stored), encoding="utf-8")


def import_job(project, *sources):
    return create_job(project, "import", ImportConfig(sources=tuple(map(str, sources))))


def test_a_folder_is_imported_by_a_job_that_leaves_the_device_alone(project, folder):
    save_pictures(folder, "1.png", "2.png")
    job = import_job(project, folder)
    with own_device(project.workspace):
        for event in run_job(job, stage_events):
            assert running_job(project.workspace) is None
            if isinstance(event, Progress):
                assert is_locked(job.lock) and is_locked(project.drawings_lock)
    assert isinstance(event, Finished)
    assert [event.added for event in job_events(job) if isinstance(event, Imported)] == [2]
    assert jobs_of(project, "train") == []


def test_uploads_come_in_under_their_own_names_and_are_deleted(project):
    job = import_job(project)
    upload(job, "하나/1.png", "하나/둘/2.png")
    (job.uploads / "half a portion").write_bytes(b"its names never came")
    *_, last = run_job(job, stage_events)
    assert last.kind == "finished" and not job.uploads.exists()
    with Catalogue(project) as catalogue:
        assert sorted(row.source_path for row in catalogue.drawings()) == ["하나/1.png", "하나/둘/2.png"]


def test_uploads_that_are_gone_are_one_sentence(project):
    *_, last = run_job(import_job(project), stage_events)
    assert last.key == "import.uploads_gone"


def test_a_list_of_uploads_names_no_file_elsewhere(project):
    job = import_job(project)
    upload(job, "1.png")
    (job.uploads / "1.names").write_text(json.dumps({"../job.json": "a.png"}), encoding="utf-8")
    with pytest.raises(StudioError, match="outside"):
        uploaded_names(job.uploads)


def test_an_import_begins_while_a_training_works_and_keeps_no_training_from_beginning(project, folder):
    save_pictures(folder, "1.png")
    training = create_job(project, "train", TrainConfig())
    with locked(training.lock, "job.running"), own_device(project.workspace):
        job = start_job(project, "import", ImportConfig(sources=(str(folder),)))
        wait_for(lambda: job_status(job).state == "finished", 120)
    training.queue_mark.write_text("1", encoding="utf-8")
    with locked(job.lock, "job.running"):
        assert next_job(project.workspace) == training


def test_work_on_the_drawings_of_one_project_waits_for_the_other_and_says_so(project, folder, monkeypatch):
    monkeypatch.setattr(process, "WAIT_SECONDS", 0.01)
    save_pictures(folder, "1.png")
    with locked(project.drawings_lock, "import.busy"):
        events = run_job(import_job(project, folder), stage_events)
        assert next(events).phase == "wait"
    *_, last = events
    assert isinstance(last, Finished)
    caption = create_job(project, "caption", CaptionConfig(captioner="pocket"))
    with locked(project.drawings_lock, "import.busy"):
        events = run_job(caption, lambda job: iter([Finished.saying("captions.nothing_to_do")]))
        assert next(events).phase == "wait"
        assert not is_locked(project.workspace.device_lock)
        request_stop(caption)
        assert [event.key for event in events] == ["job.stopped_waiting"]


def test_a_stopped_import_keeps_what_came_in_and_drops_the_uploads(project, monkeypatch):
    monkeypatch.setattr(groups, "GROUP_FILES", 2)
    job = import_job(project)
    upload(job, *(f"{number}.png" for number in range(9)))
    for event in run_job(job, stage_events):
        if isinstance(event, Progress) and event.done == 2:
            request_stop(job)
    assert event.key == "import.stopped" and not job.uploads.exists()
    with Catalogue(project) as catalogue:
        assert 2 <= catalogue.counts()["all"] < 9


@pytest.mark.skipif(os.name == "nt", reason="no such signals")
def test_a_killed_import_leaves_no_process_and_goes_on_with_its_uploads(project):
    job = import_job(project)
    upload(job, *(f"{number}.png" for number in range(400)))
    begin_job(job)
    wait_for(lambda: isinstance(job_status(job).last, Progress) and job_status(job).last.done > 0, 120)
    decoders = psutil.Process(owner_of(job.folder).pid).children(recursive=True)
    os.kill(owner_of(job.folder).pid, signal.SIGKILL)
    wait_for(lambda: job_status(job).state == "ended unexpectedly")
    assert decoders
    wait_for(lambda: not any(child.is_running() and child.status() != "zombie" for child in decoders))
    with Catalogue(project) as catalogue:
        before = catalogue.counts()["all"]
    assert before >= job_status(job).last.done
    begin_job(job)
    wait_for(lambda: job_status(job).state == "finished", 120)
    [imported] = [event for event in job_events(job) if isinstance(event, Imported)]
    assert (imported.added, imported.known) == (400 - before, before)
    assert not job.uploads.exists()


def test_an_export_is_put_into_the_jobs_folder_in_place_of_the_one_before(project, folder):
    save_pictures(folder, "1.png")
    list(run_job(import_job(project, folder), stage_events))
    first, second = (create_job(project, "export", ExportConfig(format=name)) for name in ("txt", "info.csv"))
    for job in (first, second):
        *_, last = run_job(job, stage_events)
        assert last.kind == "finished"
    assert list(first.folder.glob("*.zip")) == []
    [zipped] = second.folder.glob("*.zip")
    assert zipped.name == f"{project.slug}-info_csv.zip"
    with zipfile.ZipFile(zipped) as archive:
        assert "info.csv" in archive.namelist()


def test_a_stopped_export_leaves_nothing(project, folder):
    save_pictures(folder, "1.png", "2.png")
    list(run_job(import_job(project, folder), stage_events))
    job = create_job(project, "export", ExportConfig())
    for event in run_job(job, stage_events):
        if isinstance(event, Progress):
            request_stop(job)
    assert event.key == "export.stopped"
    assert list(job.folder.glob("*.zip*")) == []
