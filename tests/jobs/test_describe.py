"""Page and terminal say the same of an event, because one function says it."""

import ast
from pathlib import Path
from typing import get_args

import pytest

from ksh_studio import ROOT
from ksh_studio.events import (
    Captioned,
    Checkpoint,
    Event,
    Failed,
    Finished,
    Heartbeat,
    Imported,
    LoraSaved,
    Paused,
    Picture,
    Planned,
    Preview,
    Progress,
    Resumed,
    Scored,
    Started,
    Step,
    Stopped,
    Validated,
    Warned,
)
from ksh_studio.jobs.describe import describe, files_to_look_at
from ksh_studio.jobs.printing import terminal_lines
from ksh_studio.jobs.status import JobStatus
from ksh_studio.ui.caption.view import import_report
from ksh_studio.ui.generate.view import generating_state
from ksh_studio.ui.train.status import headline

VALUES = {"step": "3", "total": "9"}
PLANNED = Planned(
    drawings=40, held_out=4, buckets=((128, 128, 40),), steps=600, epochs=60.24, train_batch_size=4, split=1,
    gradient_checkpointing=False, seconds=750.0, memory_mb=846.3, memory_total_mb=25_280.0, disk_mb=12.3,
    disk_free_mb=119_532.1,
)  # fmt: skip
SENTENCES = [
    (Started(stage="train", total=9, device="cpu, bf16"), "train: 9 to do on cpu, bf16"),
    (Progress(phase="load", done=1, total=2), "Loading the model…"),
    (Progress(phase="denoise", done=3, total=20), "Drawing a picture: step 3 of 20"),
    (Imported(added=3, known=1, captions=2), "3 drawings added, 1 already here, 2 captions taken over."),
    (Captioned(drawing="x", caption="a {girl}", done=1, total=2), "1 of 2 captions · a {girl}"),
    (PLANNED, "40 drawings, 600 steps (60.2 epochs): about 12 min, 0.8 of 25 GB memory, 0.01 of 120 GB disk."),
    (Step(step=3, total=9, loss=1, ema_loss=0.5, learning_rate=1e-4, seconds=2), "Step 3 of 9 · loss 0.5000"),
    (Validated(step=3, loss=0.123456), "Step 3: validation loss 0.1235"),
    (Scored(step=3, score=0.3456), "Step 3: style score 0.35."),
    (Preview(step=3, prompt="p", seed=1, path="previews/a.png"), "Preview at step 3: previews/a.png"),
    (Checkpoint(step=3, path="checkpoints/3"), "Checkpoint at step 3: checkpoints/3"),
    (LoraSaved(step=3, path="loras/a"), "LoRA at step 3: loras/a"),
    (Picture(path="pictures/1.png", seed=5, index=0, total=2), "Picture 1 of 2 with seed 5: pictures/1.png"),
    (Resumed(step=3), "Going on from step 3"),
    (Warned(key="job.no_pause"), "Only a training can be paused. Stop this job instead: what it has made is kept."),
    (Stopped(key="generate.stopped", values={"done": "3", "total": "9"}), "Stopped after step 3 of 9."),
    (Paused(key="train.paused_early"), "Paused while getting ready; nothing is lost. Resume goes on from here."),
    (Failed(key="job.none"), "This project has no training yet."),
    (Finished(key="generate.finished", values={"count": "2", "seconds": "3"}), "2 picture(s) in 3 s."),
    (Heartbeat(), ""),
]
EVENTS = [event for event, _ in SENTENCES]


def test_every_kind_of_event_has_its_sentence_in_both_languages():
    assert {type(event) for event in EVENTS} == set(get_args(Event))
    assert [(event, describe(event, "en")) for event in EVENTS] == SENTENCES
    korean = [describe(event, "ko") for event in EVENTS if not isinstance(event, Heartbeat)]
    assert [text for text in korean if not any("가" <= letter <= "힣" for letter in text)] == []


@pytest.mark.parametrize("event", [event for event in EVENTS if isinstance(event, Imported | Warned | Failed)])
def test_the_caption_tab_and_the_terminal_say_the_same(event):
    assert describe(event, "en") in import_report(event, "en")
    assert terminal_lines(event, "en") == describe(event, "en")


@pytest.mark.parametrize(
    "event", [event for event in EVENTS if isinstance(event, Progress | Picture | Finished | Failed | Stopped)]
)
def test_the_generate_tab_says_the_same(event):
    assert describe(event, "en") in generating_state(event, "en")


def test_the_train_tab_and_the_terminal_say_the_same_of_a_step():
    step = next(event for event in EVENTS if isinstance(event, Step)).model_copy(update={"step": 9})
    assert describe(step, "en") in headline(JobStatus("running", step), history_of(step), "en")
    assert describe(step, "en") in terminal_lines(step, "en")


def history_of(step):
    from ksh_studio.jobs.history import JobHistory
    from ksh_studio.jobs.journal import EventReader

    return JobHistory(EventReader(Path("none")), steps=[step])


def test_the_files_of_an_import_come_with_their_reasons():
    event = Imported(
        added=0, known=0, captions=0, duplicates=(("b", "a"),), unreadable=(("c", "import.reason_empty"),), gone=("d",)
    )
    assert files_to_look_at(event, "en") == [
        "b: the same as a",
        "c: the file is empty",
        "d: no longer in the folder; the project keeps it",
    ]
    assert "c: the file is empty" in import_report(event, "en")


def test_no_other_module_says_the_sentences_of_events():
    """Each key `events.…` stands in `describe.py` and nowhere else."""
    using = set()
    for path in (ROOT / "ksh_studio").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("translate", "sentence", "t")):
                if node.args and ast.unparse(node.args[0]).lstrip("f")[1:].startswith("events."):
                    using.add(path.name)
    assert using == {"describe.py"}
