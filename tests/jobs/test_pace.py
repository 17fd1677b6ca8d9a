from ksh_studio.events import Progress
from ksh_studio.jobs.pace import LATEST_EVENTS, Pace


def progress(done, time, phase="import", total=100):
    return Progress(phase=phase, done=done, total=total, time=time)


def test_the_time_left_follows_the_latest_pace():
    pace = Pace()
    assert pace.seconds_left() is None
    pace.take(progress(0, 10.0))
    assert pace.seconds_left() is None
    pace.take(progress(50, 11.0))
    assert pace.seconds_left() == 1.0
    for number in range(LATEST_EVENTS):
        pace.take(progress(51 + number, 12.0 + 2 * number))
    assert pace.seconds_left() == 2.0 * (100 - 80)


def test_a_new_phase_or_a_new_beginning_has_no_pace_yet():
    pace = Pace()
    pace.take(progress(0, 10.0))
    pace.take(progress(50, 11.0))
    pace.take(progress(0, 20.0))
    assert pace.seconds_left() is None
    pace.take(progress(10, 21.0))
    pace.take(progress(20, 22.0, phase="export"))
    assert pace.seconds_left() is None


def test_a_clock_that_is_set_back_gives_no_time():
    pace = Pace()
    pace.take(progress(0, 10.0))
    pace.take(progress(50, 5.0))
    assert pace.seconds_left() is None
