import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from ksh_studio.config import CaptionConfig, ImportConfig, TrainConfig
from ksh_studio.disk import boot_id, locked
from ksh_studio.errors import StudioError
from ksh_studio.events import Failed, Finished, Heartbeat, Paused, Resumed, Started, Step, Stopped, to_line
from ksh_studio.jobs.folder import jobs_of
from ksh_studio.jobs.journal import EventReader
from ksh_studio.jobs.owner import OWNER_FILE, _began
from ksh_studio.jobs.process import run_job
from ksh_studio.jobs.requests import MAX_WAITING_PREVIEWS, end_job, pause_job, request_preview, stop_job
from ksh_studio.jobs.start import begin_job, create_job, own_device, resume_job, start_job
from ksh_studio.jobs.status import job_events, job_status
from ksh_studio.project.workspace import Workspace
from tests.faults.counting import PATIENCE, counted, spawn, wait_for


@pytest.fixture
def job(project):
    return create_job(project, "train", TrainConfig(rank=8))


@pytest.fixture
def counting(job):
    child = spawn(job)
    wait_for(lambda: counted(job))
    yield child
    child.kill()
    child.wait()


def test_a_job_keeps_its_settings_and_trigger(project, job):
    assert job.file.config(TrainConfig) == TrainConfig(rank=8)
    assert job.file.trigger.text == "drawn by KSH drawing style"
    other = create_job(project, "caption", CaptionConfig())
    assert [found.id for found in jobs_of(project)] == [other.id, job.id]
    assert [found.id for found in jobs_of(project, "train")] == [job.id]


def test_run_appends_every_event_and_says_what_it_says(job):
    def stage(_):
        yield Started(stage="train", total=1)
        yield Finished(key="train.finished")

    told = list(run_job(job, stage))
    assert [event.kind for event in told] == ["started", "finished"]
    assert [event.kind for event in job_events(job)] == ["started", "finished"]
    assert job_status(job).state == "finished"


def test_an_error_of_the_studio_ends_the_job_with_a_sentence_and_a_log(job):
    def stage(_):
        yield Started(stage="train", total=1)
        raise ZeroDivisionError

    assert list(run_job(job, stage))[-1].key == "job.crashed"
    assert "ZeroDivisionError" in job.log.read_text()
    assert job_status(job).state == "failed"


def test_a_job_whose_device_is_taken_fails_with_a_sentence(job):
    with own_device(job.project.workspace):
        told = list(run_job(job, lambda _: iter([Finished(key="train.finished")])))
    assert [event.key for event in told] == ["device.busy"]


def test_stop_ends_a_running_job_well(job, counting):
    assert job_status(job).state == "running"
    stop_job(job)
    assert counting.wait(PATIENCE) == 0
    assert job_status(job).state == "stopped"


def test_a_killed_job_is_shown_as_that_with_its_last_log_lines(job, counting):
    job.log.write_text("the last words\n")
    end_job(job)
    assert counting.wait(PATIENCE) == -signal.SIGKILL
    status = job_status(job)
    assert status.state == "ended unexpectedly"
    assert status.last_log_lines == "the last words"


def test_a_process_that_only_bears_the_number_is_not_killed(job):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    began = _began(other.pid)
    named = {"pid": other.pid, "boot": boot_id(), "uptime": time.monotonic()}
    try:
        with locked(job.lock, "job.running", name=job.id):
            (job.folder / OWNER_FILE).write_text(json.dumps(named | {"began": began - 1}))
            end_job(job)
            time.sleep(0.3)
            assert other.poll() is None
            (job.folder / OWNER_FILE).write_text(json.dumps(named | {"began": began}))
            end_job(job)
            assert other.wait(PATIENCE) != 0
    finally:
        other.kill()


def test_silence_of_a_living_process_is_not_answering(job, counting, monkeypatch):
    monkeypatch.setattr("ksh_studio.jobs.status.SILENCE_SECONDS", -1.0)
    assert job_status(job).state == "not answering"


def test_two_clicks_start_one_job(project, monkeypatch):
    spawned = []

    monkeypatch.setattr("ksh_studio.jobs.start._spawn", lambda job: spawned.append(job) or spawn(job))
    refused = []

    def click(job):
        try:
            begin_job(job)
        except StudioError as error:
            refused.append(error.sentence.key)

    both = [create_job(project, "train", TrainConfig()) for _ in range(2)]
    clicks = [threading.Thread(target=click, args=(job,)) for job in both]
    for thread in clicks:
        thread.start()
    for thread in clicks:
        thread.join()
    assert len(spawned) == 1
    assert len(refused) == 1
    with pytest.raises(StudioError, match="already working"):
        begin_job(both[0])
    end_job(spawned[0])


def test_a_job_that_may_not_start_leaves_nothing(project, job, counting):
    with pytest.raises(StudioError, match="already working"):
        start_job(project, "caption", CaptionConfig())
    assert [found.id for found in jobs_of(project)] == [job.id]


def test_pause_and_stop_are_forgotten_when_the_job_begins_again(job, monkeypatch):
    stop_job(job)
    pause_job(job)
    assert job.stop_requested() and job.pause_requested()
    monkeypatch.setattr("ksh_studio.jobs.start._spawn", lambda _: subprocess.Popen([sys.executable, "-c", ""]))
    begin_job(job)
    assert not job.stop_requested() and not job.pause_requested()
    assert job_status(job).state == "ended unexpectedly"  # the child that held nothing is not "starting" for ever


def test_a_paused_job_is_shown_as_that_until_it_is_stopped(job):
    paused = Paused(key="train.stopped", values={"step": "3", "total": "9"})
    list(run_job(job, lambda _: iter([paused])))
    assert job_status(job).state == "paused"
    stop_job(job)
    assert job_status(job).last == Stopped(key="train.stopped", values=paused.values, time=job_status(job).last.time)


def test_only_a_training_can_be_paused(project):
    with pytest.raises(StudioError, match="Only a training"):
        pause_job(create_job(project, "caption", CaptionConfig()))


def test_previews_are_asked_for_in_order_and_given_once(job):
    request_preview(job, "a girl", seed=7)
    request_preview(job, "소녀, (파란 머리:1.2)")
    request_preview(job, "")
    asked = job.take_requested_previews()
    assert [(one.prompt, one.seed) for one in asked] == [("a girl", 7), ("소녀, (파란 머리:1.2)", None), ("", None)]
    assert job.take_requested_previews() == [] and list(job.control.iterdir()) == []


def test_a_preview_that_cannot_be_drawn_is_not_asked_for(job):
    for prompt, seed in (("a" * 20_001, None), ("a", -1), ("a", 2**32)):
        with pytest.raises(StudioError):
            request_preview(job, prompt, seed)
    for _ in range(MAX_WAITING_PREVIEWS):
        request_preview(job, "a")
    with pytest.raises(StudioError, match="already waiting"):
        request_preview(job, "a")
    (job.control / "preview-now-000000-x.json").write_text("{")
    assert len(job.take_requested_previews()) == MAX_WAITING_PREVIEWS


def test_a_reader_gives_whole_new_lines_only(job):
    reader = EventReader(job.events_file)
    assert reader.new() == []
    line = to_line(Heartbeat())
    job.events_file.write_bytes(line + b"garbage\n" + b"\0\0\0\n" + line[:10])
    assert len(reader.new()) == 1
    with job.events_file.open("ab") as file:
        file.write(line[10:])
    assert len(reader.new()) == 1
    job.events_file.write_bytes(line[:-1])
    assert reader.new() == []


def test_a_resumed_job_forgets_the_steps_after_its_checkpoint(job):
    def step(number):
        return Step(step=number, total=5, loss=0.1, ema_loss=0.1, learning_rate=1e-4, seconds=1)

    told = [step(1), step(2), step(3), Failed(key="job.crashed", values={"log": ""}), Resumed(step=1), step(2)]
    job.events_file.write_bytes(b"".join(to_line(event) for event in told))
    assert [event.step for event in job_events(job) if isinstance(event, Step)] == [1, 2]


def test_a_torn_line_is_closed_before_the_next_life_appends(job):
    job.events_file.write_bytes(to_line(Heartbeat()) + b'{"kind": "st')
    list(run_job(job, lambda _: iter([Finished(key="train.finished")])))
    assert [event.kind for event in job_events(job)] == ["finished"]


@pytest.mark.parametrize("room", [(None, 10), (None, 10, 0), (None, 10, 0, 0)])
def test_a_disk_that_fills_in_the_middle_of_a_line_ends_the_job_with_a_sentence(job, monkeypatch, room):
    """The line that did not fit is lost, the one that says why is not glued to it; room for that one was kept.

    room: bytes that go in with each write; the last case is a disk that another program fills at once.
    """
    opened, short = Path.open, iter(room)

    def nearly_full(path, mode="r", **options):
        file = opened(path, mode, **options)
        if path != job.events_file or mode != "ab":
            return file
        limit, write = next(short, None), file.write
        full = MagicMock(wraps=file)
        full.write = lambda data: write(data[:limit])
        full.__enter__.return_value = full
        return full

    monkeypatch.setattr(Path, "open", nearly_full)
    steps = iter([Step(step=n, total=3, loss=0.1, ema_loss=0.1, learning_rate=1e-4, seconds=1) for n in (1, 2, 3)])
    heard = list(run_job(job, lambda _: steps))
    assert [event.kind for event in heard] == ["step", "failed"]
    assert heard[-1].key == "disk.full"
    said = len(room) < 4
    assert job.reserve.exists() is False
    assert [getattr(event, "key", "") for event in job_events(job)] == ["", *["disk.full"] * said]
    assert job_status(job).state == ("failed" if said else "ended unexpectedly")


def test_one_damaged_job_does_not_hide_the_others(project, job, counting):
    other = create_job(project, "caption", CaptionConfig())
    (other.folder / "job.json").write_text("{")
    assert [found.id for found in jobs_of(project)] == [job.id]


def test_a_second_owner_of_a_lock_is_refused_until_the_first_ends(workspace):
    other = Workspace(workspace.root)
    with (
        locked(workspace.studio_lock, "device.busy"),
        pytest.raises(StudioError),
        locked(other.studio_lock, "device.busy"),
    ):
        pass
    with locked(other.studio_lock, "device.busy"):
        pass


def test_an_import_that_came_with_a_backup_is_not_begun_here(project):
    job = create_job(project, "import", ImportConfig(sources=("/somebody/elses/folder",)))
    with pytest.raises(StudioError, match="came with a backup"):
        resume_job(job)
    assert not job.events_file.exists()
