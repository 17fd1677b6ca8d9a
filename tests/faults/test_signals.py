"""A job's process that crashes, is killed, told to end, or stopped: shown as that, and nothing it did is lost."""

import signal

import pytest

from ksh_studio.jobs.status import job_events, job_status
from tests.faults.counting import PATIENCE, counted, wait_for

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_process_that_died_is_shown_as_that_and_goes_on_where_it_saved(number, begin, signalled):
    life = begin()
    wait_for(lambda: len(counted(life.job)) > 12)
    signalled(life, number)
    assert life.child.wait(PATIENCE) == -number
    assert job_status(life.job).state == "ended unexpectedly"
    wait_for(lambda: f"ended by signal {int(number)}" in job_status(life.job).last_log_lines)
    reached = counted(life.job)
    assert reached == list(range(1, len(reached) + 1))
    begin(life.job)
    assert job_status(life.job).state == "running"
    told = counted(life.job)
    assert told == list(range(1, len(told) + 1))
    again = [event.step for event in job_events(life.job) if event.kind == "resumed"]
    assert again[-1] >= 10 and reached[-1] - again[-1] <= 10


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_asks_to_end_is_a_stop(number, begin, signalled):
    life = begin()
    signalled(life, number)
    assert life.child.wait(PATIENCE) == 0
    assert job_status(life.job).state == "stopped"


def test_a_stopped_process_does_not_answer_until_it_goes_on(begin, signalled, monkeypatch):
    monkeypatch.setattr("ksh_studio.jobs.status.SILENCE_SECONDS", 2.0)
    life = begin()
    wait_for(lambda: job_status(life.job).state == "running")
    signalled(life, signal.SIGSTOP)
    wait_for(lambda: job_status(life.job).state == "not answering")
    silent = counted(life.job)
    signalled(life, signal.SIGCONT)
    wait_for(lambda: job_status(life.job).state == "running")
    wait_for(lambda: len(counted(life.job)) > len(silent))
