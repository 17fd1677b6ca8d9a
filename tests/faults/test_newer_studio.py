"""A job that a newer studio has worked on: what this one knows of it is shown, and that there is more."""

import json

import pytest

from ksh_studio.config import CaptionConfig, TrainConfig
from ksh_studio.events import Started, Step, Warned
from ksh_studio.jobs.history import JobHistory
from ksh_studio.jobs.journal import EventReader
from ksh_studio.jobs.printing import print_events
from ksh_studio.jobs.start import create_job
from ksh_studio.jobs.status import job_events, job_status
from ksh_studio.ui.caption.view import job_state
from ksh_studio.ui.train.status import headline

LINES = (
    {"kind": "warned", "key": "x.y", "values": {"count": "3"}},
    {"kind": "weighed", "step": 5, "kilograms": 2},
    {
        "kind": "step",
        "step": 6,
        "total": 9,
        "loss": 0.1,
        "ema_loss": 0.1,
        "learning_rate": 1e-4,
        "seconds": 1,
        "new": 1,
    },
)


@pytest.fixture
def history(project):
    def read(stage, config):
        job = create_job(project, stage, config)
        known = Step(step=5, total=9, loss=0.1, ema_loss=0.1, learning_rate=1e-4, seconds=1.0)
        lines = [Started(stage=stage, total=9).model_dump_json(), known.model_dump_json()]
        lines += [json.dumps({"time": 1.0} | line) for line in LINES]
        job.events_file.write_text("".join(f"{line}\n" for line in lines))
        (job.folder / "process.json").write_text("{}")
        return job, JobHistory(EventReader(job.events_file)).follow()

    return read


def test_a_training_is_shown_with_what_is_known_of_it(history):
    job, read = history("train", TrainConfig())
    text = headline(job_status(job), read, "en")
    assert "ended unexpectedly" in text
    assert "does not know: x.y (count: 3)" in text and "2 entries of this job were written by a newer studio" in text
    assert [step.step for step in read.steps] == [5]


def test_a_captioning_too(history):
    job, read = history("caption", CaptionConfig())
    text = job_state(read, job_status(job), "ko", with_log=False)
    assert "x.y" in text and "2개는 더 새로운 스튜디오" in text


def test_the_terminal_prints_it(history, capsys):
    job, _ = history("train", TrainConfig())
    print_events(iter(job_events(job)), "en")
    assert "x.y (count: 3)" in capsys.readouterr().err
    assert isinstance(job_status(job).last, Warned)


def test_an_event_that_is_known_is_not_counted(history):
    job, read = history("train", TrainConfig())
    job.events_file.write_text(Started(stage="train", total=9).model_dump_json() + "\n")
    assert read.follow().reader.unknown == 0
