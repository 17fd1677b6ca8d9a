import json

import pytest

from ksh_studio.config import MAX_PROMPT_CHARACTERS
from ksh_studio.events import (
    Captioned,
    Checkpoint,
    Failed,
    Finished,
    Imported,
    Preview,
    Resumed,
    Step,
    Warned,
    from_line,
    is_of_newer_studio,
    to_line,
    valid_events,
)


def step(number: int) -> Step:
    return Step(step=number, total=9, loss=0.1, ema_loss=0.1, learning_rate=1e-4, seconds=1.0)


def test_an_event_survives_its_line():
    event = Preview(step=3, prompt="한글\n따옴표 \"'", seed=7, path="jobs/x/previews/a.webp")
    line = to_line(event)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert from_line(line) == event


def test_a_torn_or_foreign_line_is_no_event():
    whole = to_line(step(1))
    for line in (b"", b"\n", whole[: len(whole) // 2], b"\0" * 50, b'{"kind": "surprise"}', b"[1, 2]", b"\xff\xfe"):
        assert from_line(line) is None


def test_a_loss_that_is_not_a_number_cannot_be_said():
    assert from_line(to_line(step(1)).replace(b"0.1", b"NaN", 1)) is None


def test_what_an_earlier_life_said_of_later_steps_is_dropped():
    told = [step(1), step(2), Checkpoint(step=2, path="c"), step(3), Failed(key="job.crashed", values={"log": "x"})]
    told += [Resumed(step=2), step(3), Finished(key="train.finished")]
    kept = list(valid_events(told))
    assert [event.step for event in kept if isinstance(event, Step)] == [1, 2, 3]
    assert not any(isinstance(event, Failed) for event in kept)
    assert isinstance(kept[-1], Finished)


@pytest.mark.parametrize(
    ("line", "newer"),
    [
        (b'{"kind": "surprise", "time": 1.5, "size": 3}', True),
        (to_line(step(1)).replace(b"{", b'{"colour": "red", ', 1), True),
        (b'{"kind": "surprise"}', False),
        (b'{"kind": "surprise", "ti', False),
        (b'{"kind": ["step"], "time": 1}', False),
        (b"[1, 2]", False),
        (b"[" * 100_000, False),
        (b"\xff\xfe", False),
    ],
)
def test_an_event_of_a_newer_studio_is_told_from_a_torn_line(line, newer):
    assert from_line(line) is None and is_of_newer_studio(line) is newer


@pytest.mark.parametrize("path", ["/home/anna/.ssh/id_rsa", "../x.png", "a/../x.png", "//host/x.png", "C:\\x.png", ""])
def test_an_event_names_files_below_its_project_only(path):
    line = to_line(Preview(step=1, prompt="", seed=1, path="jobs/a/previews/1.png"))
    hostile = json.loads(line) | {"path": path}
    assert from_line(line) is not None and from_line(json.dumps(hostile).encode()) is None


def test_the_longest_texts_of_ours_fit_into_a_line_and_longer_lines_are_no_events():
    longest = "\U0001f98a" * MAX_PROMPT_CHARACTERS
    for event in (
        Preview(step=1, prompt=longest, seed=1, path="x.png"),
        Captioned(drawing="a", caption=longest, done=1, total=1),
        Warned.saying("train.preview_failed", step=1, why=longest),
        Imported(added=1, known=0, captions=0, gone=tuple(f"{n} {'그' * 80}" for n in range(10_000))),
    ):
        assert from_line(to_line(event)) == event
    assert from_line(to_line(Warned.saying("train.preview_failed", step=1, why=longest * 4))) is None
    assert from_line(to_line(Imported(added=1, known=0, captions=0, gone=("x" * 5_000_000,)))) is None


@pytest.mark.parametrize("step", ["-1", "9" * 20, "9" * 400])
def test_a_step_is_a_number_that_can_be_computed_with(step):
    line = to_line(Resumed(step=123456)).decode().replace("123456", step)
    assert from_line(line.encode()) is None
