import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ksh_studio import ROOT
from ksh_studio.events import Captioned, Failed, Finished, Heartbeat, Imported, Progress, Step, Warned
from ksh_studio.jobs.printing import print_events, terminal_lines

STEP = Step(step=100, total=100, loss=0.5, ema_loss=0.25, learning_rate=1e-4, seconds=9)


def test_events_become_lines():
    assert (
        terminal_lines(Captioned(drawing="x", caption="a {girl}", done=1, total=2), "en")
        == "  1 of 2 captions · a {girl}"
    )
    assert terminal_lines(STEP, "en") == "  Step 100 of 100 · loss 0.2500 · learning rate 0.0001 · 9 s"
    assert terminal_lines(Failed(key="job.unknown", values={"name": "x"}), "ko") == "작업 x가 없습니다."
    imported = Imported(added=1, known=0, captions=0, duplicates=(("b.png", "a.png"),), gone=("c.png",))
    assert terminal_lines(imported, "en").splitlines()[1:] == [
        "  b.png: the same as a.png",
        "  c.png: no longer in the folder; the project keeps it",
    ]


def test_an_import_says_now_and_then_how_far_it_is_and_what_is_left(capsys):
    counts = [(0, 0.0), (64, 1.0), (1757, 2.0), (1800, 2.5), (4500, 9.0)]
    events = [Progress(phase="import", done=done, total=4500, time=1000 + time) for done, time in counts]
    print_events(iter([Progress(phase="wait", done=0, total=0), *events]), "en")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Waiting for other work")
    assert lines[1:] == [
        "  Reading drawings: 0 of 4,500",
        "  Reading drawings: 1,757 of 4,500, 3 s left",
        "  Reading drawings: 4,500 of 4,500, 0 s left",
    ]


def test_a_terminal_leaves_out_what_would_only_scroll_by():
    assert terminal_lines(Heartbeat(), "en") is None
    assert terminal_lines(Progress(phase="load", done=1, total=2), "en") is None
    printed = [
        step for step in range(1, 1001) if terminal_lines(STEP.model_copy(update={"step": step, "total": 1000}), "en")
    ]
    assert printed == list(range(50, 1001, 50))
    assert terminal_lines(STEP.model_copy(update={"step": 101, "total": 101}), "en")


@pytest.mark.parametrize(
    ("last", "code"), [(Failed(key="job.none"), 1), (Finished(key="job.none"), 0), (Heartbeat(), 0)]
)
def test_the_exit_code_is_that_of_the_last_event_and_trouble_goes_to_stderr(last, code, capsys):
    assert print_events(iter([Warned(key="job.no_pause"), last]), "en") == code
    out, err = capsys.readouterr()
    assert "Only a training" in err and ("no training yet" in err) == (code == 1)
    assert ("no training yet" in out) == isinstance(last, Finished)


def test_work_goes_on_when_the_terminal_is_closed(tmp_path):
    reader, writer = os.pipe()
    arguments = [sys.executable, "-m", "tests.jobs.test_printing", str(tmp_path / "made")]
    work = subprocess.Popen(arguments, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert os.read(reader, 1)
    os.close(reader)
    _, err = work.communicate(timeout=60)
    assert (work.returncode, err) == (0, b"")
    assert (tmp_path / "made").exists()


def _print_until_nobody_reads(made):
    """In the child process of the test: print more lines than are read, then make something."""

    def events():
        for _ in range(5):
            yield Warned(key="job.no_pause")
            yield Finished(key="job.none")
            time.sleep(0.1)
        made.touch()
        yield Finished(key="job.none")

    sys.exit(print_events(events(), "en"))


if __name__ == "__main__":
    sys.stderr = sys.stdout  # as in a terminal, where both end
    _print_until_nobody_reads(Path(sys.argv[1]))
