"""N steps in one run equal k steps, a stop, and the rest: weights, optimiser, average and losses, bit for bit."""

import hashlib
import json
import shutil

import pytest
import torch

from ksh_studio.project.catalogue import Catalogue
from tests.training.lessons import EVERYTHING, assert_same, outcome


def test_a_run_stopped_at_every_step_equals_a_straight_one(lesson):
    stopped_at_every_step(lesson, EVERYTHING, (1, 2, 3))


def test_shuffled_tags_go_on_exactly_too(lesson, project, drawings):
    with Catalogue(project) as catalogue:
        for drawing in drawings:
            catalogue.save_caption(drawing.id, "1girl, blue hair, smile, hat, tree")
    plain, shuffled = {"max_train_steps": 3}, {"max_train_steps": 3, "shuffle_tags": True, "keep_tags": 1}
    wanted = stopped_at_every_step(lesson, shuffled, (2,))
    straight = lesson(**plain)
    straight.run()
    assert outcome(straight)[0] != wanted[0]


def stopped_at_every_step(lesson, settings, steps):
    straight = lesson(**settings)
    straight.run()
    wanted = outcome(straight)
    assert [step for step, *_ in wanted[0]] == list(range(1, settings["max_train_steps"] + 1))
    for k in steps:
        stopped = lesson(**settings)
        said = stopped.run(stop_after=k)
        assert said[-1].kind == "stopped" and said[-1].values["step"] == str(k)
        again = stopped.run()
        assert [event.step for event in again if event.kind == "resumed"] == [k]
        assert again[-1].kind == "finished"
        assert_same(outcome(stopped), wanted)
    return wanted


def test_previews_do_not_disturb_training(lesson):
    seen = lesson(max_train_steps=4, validation_steps=1)
    blind = lesson(max_train_steps=4, validation_steps=100, validation_prompts=("something else",))
    seen.run()
    blind.run()
    assert_same(outcome(seen), outcome(blind))


def test_a_seed_decides_the_lora(lesson):
    results = []
    for seed in (1, 1, 2):
        made = lesson(max_train_steps=3, seed=seed, validation_steps=100)
        made.run()
        results.append(outcome(made)[3])
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])
    ups = [name for name in results[0] if "lora_up" in name]
    assert ups and not any(torch.equal(results[0][name], results[2][name]) for name in ups)
    assert all(results[0][name].abs().max() > 0 for name in ups)


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(lesson):
    made = lesson(max_train_steps=6, checkpointing_steps=2)
    made.run(stop_after=5)
    tensors = made.job.checkpoints / "step-000005" / "tensors.safetensors"
    data = bytearray(tensors.read_bytes())
    data[-1] ^= 1
    tensors.write_bytes(bytes(data))
    said = made.run()
    assert [event.step for event in said if event.kind == "resumed"] == [4]
    (warning,) = [event for event in said if event.kind == "warned" and event.key == "train.checkpoint_damaged"]
    assert warning.values == {"name": "step-000005", "used": "step-000004"}
    assert [event.step for event in made.of("step")] == [1, 2, 3, 4, 5, 6]
    straight = lesson(max_train_steps=6, checkpointing_steps=2)
    straight.run()
    assert_same(outcome(made), outcome(straight))


def test_checkpoints_by_time_change_no_number_and_the_oldest_go(lesson, monkeypatch):
    straight = lesson(**EVERYTHING | {"max_train_steps": 6})
    straight.run()
    monkeypatch.setattr("ksh_studio.training.saving.saver.MINUTES_BETWEEN_CHECKPOINTS", 0)
    timed = lesson(**EVERYTHING | {"max_train_steps": 6})
    timed.run()
    assert [event.step for event in straight.of("checkpoint")] == [3, 6]
    assert [event.step for event in timed.of("checkpoint")] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in timed.of("lora")] == [event.step for event in straight.of("lora")] == [3, 6]
    assert sorted(path.name[-1] for path in timed.job.checkpoints.iterdir()) == ["4", "5", "6"]
    assert_same(outcome(timed), outcome(straight))


def test_a_run_goes_on_exactly_from_a_checkpoint_by_time(lesson, monkeypatch):
    straight = lesson(**EVERYTHING)
    straight.run()
    monkeypatch.setattr("ksh_studio.training.saving.saver.MINUTES_BETWEEN_CHECKPOINTS", 0)
    killed = lesson(**EVERYTHING)
    killed.run(stop_after=3)
    lose(killed.job.checkpoints, 2)
    assert [event.step for event in killed.run() if event.kind == "resumed"] == [2]
    assert_same(outcome(killed), outcome(straight))


def test_more_steps_are_a_new_job_that_goes_on_from_its_parent(lesson):
    first = lesson(max_train_steps=4)
    first.run()
    second = lesson(parent=first.job.id, max_train_steps=6)
    said = second.run()
    assert [event.step for event in said if event.kind == "step"] == [5, 6]
    assert said[-1].kind == "finished" and said[-1].figures["steps"] == 6
    shorter = lesson(parent=first.job.id, max_train_steps=4)
    assert shorter.run()[-1].key == "train.parent_longer"
    other = lesson(parent=first.job.id, max_train_steps=6, rank=8)
    assert other.run()[-1].key == "train.other_lora"


def lose(folder, keep):
    """What a kill leaves before the next save: the newer checkpoints are not there, everything else is."""
    for path in folder.glob("step-*"):
        if int(path.name.removeprefix("step-")) > keep:
            shutil.rmtree(path)


def test_what_a_killed_life_drew_after_its_checkpoint_is_drawn_and_told_again(lesson):
    made = lesson(max_train_steps=4, validation_steps=1, checkpointing_steps=2, validation_share=0.2)
    made.run(stop_after=3)
    lose(made.job.checkpoints, 2)
    stale = made.job.previews / "000003-1.png"
    stale.write_bytes(b"of a step that was lost")
    newer = made.job.previews / "000009-1.png"
    newer.write_bytes(b"of a step that was lost")
    kept = (made.job.previews / "000001-1.png").stat().st_mtime_ns
    said = made.run()
    assert [event.step for event in said if event.kind == "preview"] == [3, 4]
    for kind in ("preview", "validated"):
        assert [event.step for event in made.of(kind)] == [0, 1, 2, 3, 4]
    assert stale.read_bytes().startswith(b"\x89PNG")
    assert (made.job.previews / "000001-1.png").stat().st_mtime_ns == kept
    thumbnail = (made.job.loras / "ksh-000004.png").read_bytes()
    assert thumbnail == (made.job.previews / "000004-1.png").read_bytes()


def test_a_job_of_the_version_before_goes_on(lesson):
    """Its checkpoint has none of the newer counters, its `job.json` none of the newer settings."""
    new = ("effort", "adapter", "init_lora", "shuffle_tags", "keep_tags", "optimizer", "num_processes")
    values = {"max_train_steps": 4, "validation_share": 0.2, "validation_steps": 2}
    straight, old = lesson(**values), lesson(**values)
    straight.run()
    old.run(stop_after=2)
    folder = old.job.checkpoints / "step-000002"
    state = json.loads((folder / "state.json").read_text())
    older = {name: state[name] for name in ("step", "loss_ema", "bad_steps", "seconds", "scaler", "data")}
    assert older != state
    (folder / "state.json").write_text(json.dumps(older))
    manifest = json.loads((folder / "manifest.json").read_text())
    data = (folder / "state.json").read_bytes()
    manifest["files"]["state.json"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    file = json.loads((old.job.folder / "job.json").read_text())
    for name in new:
        del file["settings"][name]
    (old.job.folder / "job.json").write_text(json.dumps(file))
    said = old.run()
    assert [event.step for event in said if event.kind == "resumed"] == [2] and said[-1].kind == "finished"
    assert_same(outcome(old), outcome(straight))


def test_a_checkpoint_of_a_newer_studio_is_refused_clearly_and_left_alone(lesson):
    made = lesson(max_train_steps=4)
    made.run(stop_after=2)
    manifest = made.job.checkpoints / "step-000002" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 2}))
    assert made.run()[-1].key == "train.checkpoint_format" and manifest.exists()


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "manifest.json"])
def test_with_its_only_checkpoint_damaged_a_job_begins_again_and_says_so(name, lesson):
    made = lesson(max_train_steps=3)
    made.run(stop_after=2)
    file = made.job.checkpoints / "step-000002" / name
    file.write_bytes(file.read_bytes()[:-3])
    said = made.run()
    assert [event.step for event in said if event.kind == "resumed"] == [0]
    assert [event.step for event in made.of("step")] == [1, 2, 3] and said[-1].kind == "finished"
    assert [event.key for event in said if event.kind == "warned"] == ["preflight.none_whole"]
