"""What a job's process does when it is asked to end by a signal."""

import os
import signal

import pytest

from ksh_studio.config import TrainConfig
from ksh_studio.events import Finished
from ksh_studio.jobs.process import END_SIGNALS, run_job
from ksh_studio.jobs.start import create_job


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGHUP")
def test_what_nohup_ignores_does_not_stop_the_work(project):
    job = create_job(project, "train", TrainConfig(rank=8))

    def stage(_):
        os.kill(os.getpid(), signal.SIGHUP)
        yield Finished(key="train.finished")

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        list(run_job(job, stage))
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert not job.stop_requested()


def test_the_signals_are_what_they_were_when_the_job_has_ended(project):
    before = [signal.getsignal(number) for number in END_SIGNALS]
    list(run_job(create_job(project, "train", TrainConfig(rank=8)), lambda _: iter([Finished(key="train.finished")])))
    assert [signal.getsignal(number) for number in END_SIGNALS] == before
