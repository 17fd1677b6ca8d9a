"""`events.jsonl` as a crash or a bad disk leaves it, and as a very long run does: read in bounded pieces."""

from operator import sub

import pytest

from ksh_studio.config import TrainConfig
from ksh_studio.events import Finished, Heartbeat, Step, to_line
from ksh_studio.jobs import journal
from ksh_studio.jobs.history import JobHistory
from ksh_studio.jobs.journal import READ_BYTES, EventReader
from ksh_studio.jobs.process import run_job
from ksh_studio.jobs.start import create_job
from ksh_studio.jobs.status import END_BYTES, job_events, job_status
from tests.work import cpu_seconds

LOOK_SECONDS = 5.0
"""Of a processor; many times what a look needs: only a look that reads everything needs more."""


@pytest.fixture
def job(project):
    return create_job(project, "train", TrainConfig())


def step(number):
    return Step(step=number, total=1_000_000, loss=0.1, ema_loss=0.1, learning_rate=1e-4, seconds=float(number))


def quick(look):
    result, seconds = cpu_seconds(look)
    assert seconds < LOOK_SECONDS
    return result


RUBBISH = {
    "half a line": to_line(step(3))[:40],
    "garbage": b'\xff\xfe{"kind": \x80}\n[1, 2]\nnull\n"step"\n{}\n{"kind": "nobody"}\n',
    "a block of zeros": b"\0" * 4096 + b"\n",
    "half a line, then zeros": to_line(step(3))[:40] + b"\0" * 4096 + b"\n",
    "brackets": b"[" * 100_000 + b"\n",
}


@pytest.mark.parametrize("rubbish", RUBBISH.values(), ids=RUBBISH)
def test_rubbish_costs_no_event_but_itself(job, rubbish):
    job.events_file.write_bytes(to_line(step(1)) + rubbish)
    assert job_status(job).last == job_events(job)[-1]
    assert [event.step for event in job_events(job)] == [1]
    list(run_job(job, lambda _: iter([step(2), Finished(key="train.finished")])))
    assert [event.kind for event in job_events(job)] == ["step", "step", "finished"]
    assert job_status(job).state == "finished"


def test_a_long_file_is_read_piece_by_piece(job, monkeypatch):
    monkeypatch.setattr(journal, "READ_BYTES", 100_000)
    lines = [to_line(step(number)) for number in range(1, 2001)]
    job.events_file.write_bytes(b"".join(lines))
    assert 2 < job.events_file.stat().st_size / 100_000 < 4
    history, offsets = JobHistory(EventReader(job.events_file)), [0]
    while len(offsets) < 3 or offsets[-1] > offsets[-2]:
        history.follow()
        offsets.append(history.reader.offset)
    assert len(offsets) > 4 and max(map(sub, offsets[1:], offsets)) <= 100_000
    assert [event.step for event in history.steps] == list(range(1, 2001))
    assert [event.step for event in job_events(job)] == list(range(1, 2001))
    assert job_status(job).last.step == 2000


def test_half_a_gigabyte_of_zeros_keeps_nobody_waiting(job):
    with job.events_file.open("wb") as file:
        file.write(to_line(step(1)))
        file.truncate(500_000_000)  # takes no room on the disk
    reader = EventReader(job.events_file)
    assert [event.step for event in quick(reader.new)] == [1]
    before = reader.offset
    assert quick(reader.new) == [] and 0 < reader.offset - before <= READ_BYTES
    assert quick(lambda: job_status(job)).last is None
    reader.offset = 500_000_000 - 10
    with job.events_file.open("ab") as file:
        file.write(b"\n" + to_line(step(2)))
    assert [event.step for event in quick(reader.new)] == [2]


def test_the_last_words_are_found_behind_hours_of_heartbeats(job):
    beats = to_line(Heartbeat(uptime=1.0, boot="x")) * 2000
    assert len(beats) > END_BYTES[0]
    job.events_file.write_bytes(to_line(step(7)) + beats)
    assert job_status(job).last.step == 7
