"""Two dry steps say what a training takes, and leave no trace in it."""

import shutil
from collections import namedtuple

import pytest
import torch

from ksh_studio.config import SettledTraining
from ksh_studio.events import Planned
from ksh_studio.jobs.start import create_job
from ksh_studio.models.loading import load_base
from ksh_studio.training.measures.slowdown import StepTimes
from ksh_studio.training.preflight import check as preflight
from ksh_studio.training.preflight.check import check
from ksh_studio.training.preflight.dry_run import Measurements, largest_batch, undone
from ksh_studio.training.stage import train
from tests.training.lessons import EVERYTHING, assert_same, outcome

pytestmark = pytest.mark.slow


def everything(session):
    """All that a step changes, copied."""
    tensors = {name: value.clone() for name, value in session.tensors().items()}
    groups = [{k: v for k, v in group.items() if k != "params"} for group in session.optimizer.param_groups]
    return tensors, session.state(), groups


@pytest.mark.parametrize("precision", ["no", "fp16"])
def test_steps_that_are_undone_leave_everything_as_it_was(precision, stepper):
    dry, plain = stepper(precision), stepper(precision)
    for fresh in (True, False):  # before the optimiser has a state, and after
        before = everything(dry.training_state)
        with undone(dry.training_state):
            dry()
            dry()
            moved = everything(dry.training_state)
        after = everything(dry.training_state)
        assert before[0].keys() == after[0].keys() and (len(moved[0]) > len(before[0])) == fresh
        assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])
        assert any(not torch.equal(before[0][name], moved[0][name]) for name in before[0])
        assert before[1:] == after[1:] and all(p.grad is None for p in dry.training_state.parameters.values())
        dry = type(dry)(dry.base, dry.data, dry.training_state, list(range(len(dry.data.items))))
        assert torch.equal(dry(), plain())
    same = zip(everything(dry.training_state)[0].items(), everything(plain.training_state)[0].items(), strict=True)
    assert all(one == other and torch.equal(a, b) for (one, a), (other, b) in same)


def test_a_run_is_the_same_with_and_without_dry_steps_also_when_it_goes_on(lesson, monkeypatch):
    made = lesson(**EVERYTHING)
    made.run(stop_after=2)
    made.run()
    assert [event.steps for event in made.of("planned")] == [4, 4]  # one in each life
    monkeypatch.setattr("ksh_studio.training.stage.measured_plan", lambda run: iter(()))
    without = lesson(**EVERYTHING)
    without.run()
    assert without.of("planned") == []
    assert_same(outcome(made), outcome(without))


def test_the_plan_says_what_there_is_and_comes_before_the_first_step(lesson):
    made = lesson(validation_share=0.2, max_train_steps=4, validation_steps=2)
    said = made.run()
    kinds = [event.kind for event in said]
    (plan,) = [event for event in said if event.kind == "planned"]
    assert kinds.index("planned") < kinds.index("preview") < kinds.index("step")
    assert [event.done for event in said if getattr(event, "phase", "") == "measure"] == [0, 1, 2, 3]
    assert (plan.drawings, plan.held_out, plan.steps, plan.epochs) == (4, 1, 4, 2.0)
    assert sum(count for *_, count in plan.buckets) == 4 and plan.buckets[0][:2] == (64, 64)
    assert (plan.train_batch_size, plan.split, plan.gradient_checkpointing) == (2, 1, False)
    assert 0 < plan.memory_mb < plan.memory_total_mb and 0 < plan.disk_mb < plan.disk_free_mb
    assert plan.seconds > 0
    used = sum(path.stat().st_size for path in made.job.folder.rglob("*") if path.is_file()) / 1e6
    assert used < plan.disk_mb < 20 * used
    steps = [event for event in said if event.kind == "step"]
    assert all(event.memory_mb >= 100 for event in steps)  # torch alone takes more


def test_seconds_are_those_of_all_that_is_left(lesson, monkeypatch):
    seen = []
    original = preflight.planned
    monkeypatch.setattr(preflight, "planned", lambda run, measured: seen.append(run) or original(run, measured))
    lesson(validation_share=0.2, max_train_steps=4, validation_steps=2).run()
    run = seen[0]
    run.training_state.step = 2
    area = sum(run.data.items[n].crop.width * run.data.items[n].crop.height for n in run.trained) / 4 / 64**2
    measured = Measurements(10.0, 1.0, 5.0, 1.0, 100.0)
    # two steps; looks at 2 and 4, each a picture of two steps and one validation of four levels; one save
    expected = 2 * 10 * area + 2 * (1 * (2 * 1.0 + 5.0) + 4 * 0.5) + (100 + measured_lora(run)) / 100
    assert original(run, measured).seconds == pytest.approx(expected, abs=0.1)


def measured_lora(run):
    return sum(parameter.numel() for parameter in run.training_state.parameters.values()) * 2 / 1e6


def test_the_measured_batch_is_of_the_largest_pictures(stepper):
    data = stepper().data
    bucket, items, rows = largest_batch(data, list(range(5)), 4)
    assert data.latents[bucket].shape[-2:] == (8, 8) and len(items) == len(rows) == 4
    assert all(data.place[item] == (bucket, row) for item, row in zip(items.tolist(), rows.tolist(), strict=True))
    assert {data.place[n][0] for n in largest_batch(data, [1], 3)[1].tolist()} == {data.place[1][0]}


def test_a_disk_that_is_too_full_is_refused_with_numbers_before_the_first_step(lesson, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 100_000))
    made = lesson()
    said = made.run()
    plan = next(event for event in said if isinstance(event, Planned))
    assert said[-1].key == "preflight.disk" and said[-1].values["free"] == "0"
    assert said[-1].values["needed"] == f"{plan.disk_mb:.0f}" and plan.disk_free_mb == 0.1
    assert not [event for event in said if event.kind in ("step", "checkpoint", "preview")]
    monkeypatch.undo()
    monkeypatch.setattr("ksh_studio.training.measures.step_log.EVERY_SECONDS", 0.0)
    assert made.run()[-1].kind == "finished"


def test_a_check_measures_and_trains_nothing(lesson, monkeypatch):
    made = lesson()
    job = create_job(made.project, "check", made.job.file.config(SettledTraining))
    loads = []
    monkeypatch.setattr("ksh_studio.training.run.load_base", lambda *args: loads.append(1) or load_base(*args))
    said = list(check(job.file.config(SettledTraining), made.project, job))
    kinds = [event.kind for event in said]
    assert kinds[-2:] == ["planned", "finished"] and said[-1].key == "preflight.checked"
    assert next(event for event in said if event.kind == "started").stage == "check"
    assert not {"step", "checkpoint", "lora", "preview"} & set(kinds) and len(loads) == 1
    assert not any(folder.exists() for folder in (job.checkpoints, job.loras, job.previews))
    assert said[-1].figures["seconds"] == said[-2].seconds
    encoded = [
        event for event in train(job.file.config(SettledTraining), made.project, made.job) if hasattr(event, "phase")
    ]
    assert {event.done for event in encoded if event.phase == "latents"} == {5}  # the cache has them all


@pytest.mark.parametrize("word", ["stop", "pause"])
def test_a_check_ends_when_asked(word, lesson):
    made = lesson()
    job = create_job(made.project, "check", made.job.file.config(SettledTraining))
    said = []
    for event in check(job.file.config(SettledTraining), made.project, job):
        said.append(event)
        if getattr(event, "phase", "") == "measure":
            job.control.mkdir(exist_ok=True)
            (job.control / word).touch()
    assert said[-1].kind == {"stop": "stopped", "pause": "paused"}[word] and "planned" not in {e.kind for e in said}


def test_steps_that_become_three_times_slower_are_told_once():
    pace = StepTimes()
    assert [*(w for _ in range(20) for w in pace.add(1.0)), *(w for _ in range(19) for w in pace.add(5.0))] == []
    (warning,) = [w for _ in range(100) for w in pace.add(5.0)]
    assert warning.key == "preflight.slow" and warning.values == {"first": "1", "now": "5"}
    assert pace.seconds == 20 + 119 * 5
    steady = StepTimes()
    assert [w for n in range(200) for w in steady.add(2.9 if n >= 20 else 1.0)] == []
