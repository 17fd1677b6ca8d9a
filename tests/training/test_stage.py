import json

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from ksh_studio.config import GenerateConfig, SettledTraining
from ksh_studio.errors import StudioError
from ksh_studio.events import to_line
from ksh_studio.generation.request import settle
from ksh_studio.generation.sampling.denoising import make_pictures
from ksh_studio.jobs.process import run_job
from ksh_studio.jobs.requests import stop_job
from ksh_studio.lora.listing import list_loras
from ksh_studio.lora.on_base.attach import attach
from ksh_studio.models.loading import load_base
from ksh_studio.models.registry import base_entry
from ksh_studio.presets import TRAIN_PRESETS
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.training.checkpoint import load_newest, save_checkpoint
from ksh_studio.training.stage import train
from ksh_studio.training.step.step import Stepper
from tests.training.lessons import is_whole


def kinds(said):
    return [event.kind for event in said]


def test_a_run_says_everything_and_ends_in_a_lora(lesson):
    made = lesson(checkpointing_steps=3, validation_steps=3)
    said = made.run()
    steps = [event for event in said if event.kind == "step"]
    assert [event.step for event in steps] == [1, 2, 3, 4, 5, 6]
    assert {event.total for event in steps} == {6}
    assert [event.step for event in said if event.kind == "preview"] == [0, 3, 6]
    assert [event.step for event in said if event.kind == "checkpoint"] == [3, 6]
    loras = [event for event in said if event.kind == "lora"]
    assert [event.path.rsplit("/", 1)[1] for event in loras] == ["ksh-000003.safetensors", "ksh-000006.safetensors"]
    assert all((made.project.root / event.path).exists() for event in said if hasattr(event, "path"))
    (started,) = [event for event in said if event.kind == "started"]
    assert started.total == 6 and started.device == "cpu, fp32"
    assert said[-1].kind == "finished" and said[-1].figures["steps"] == 6 and said[-1].figures["images_seen"] == 12
    assert said[-1].figures["final_loss"] == pytest.approx(steps[-1].ema_loss, abs=1e-4)


def last(said):
    return said[-1].kind, getattr(said[-1], "key", "")


def test_the_lora_says_what_it_is(lesson):
    made = lesson(max_train_steps=2)
    made.run()
    (info,) = list_loras(made.project.workspace, made.project).usable
    assert info.trigger == "drawn by KSH drawing style" and info.step == 2 and info.rank == 4 and info.alpha == 2.0
    assert info.base == info.only_base == "tiny" and info.label == "ksh-000002"
    meta = info.metadata
    slashed = {key for key, value in meta.items() if "/" in value}
    assert slashed <= {
        "modelspec.architecture",
        "modelspec.thumbnail",
    }  # a class, a data URL: no path
    assert (meta["ss_num_train_images"], meta["ss_seed"], meta["ss_learning_rate"]) == ("5", "42", "0.01")
    assert (meta["ss_epoch"], meta["ss_vae_name"]) == ("0", "None")
    assert len(meta["ss_sd_model_hash"]) == 8 and len(meta["ss_new_sd_model_hash"]) == 64
    counts = [bucket["count"] for bucket in json.loads(meta["ss_bucket_info"])["buckets"].values()]
    assert sorted(counts) == [1, 1, 3]
    assert info.path.with_suffix(".json").is_file() and info.path.with_suffix(".png").is_file()


def test_the_lora_draws_what_the_last_preview_shows(lesson):
    made = lesson(max_train_steps=3, learning_rate=0.1)
    made.run()
    before, after = made.of("preview")
    base = load_base(base_entry(made.job.file.settings["base_model"]), torch.device("cpu"), "no")
    request = settle(GenerateConfig(prompt="a girl", seed=42, num_inference_steps=2, clip_skip=1), base.entry)

    def apart(event, picture):
        shown = np.asarray(Image.open(made.project.root / event.path), dtype=int)
        return np.abs(shown - np.asarray(picture, dtype=int)).max()

    assert apart(before, make_pictures(base, request, [42])[0]) == 0  # step 0 is the base's own picture, to the bit
    attach(base, made.project.root / made.of("lora")[-1].path)
    with_lora = make_pictures(base, request, [42])[0]
    assert apart(before, with_lora) > 2
    assert apart(after, with_lora) <= 1  # the file holds fp16


def test_stopping_before_the_first_step_is_clean(lesson):
    made = lesson()
    stop_job(made.job)
    stop = made.job.control / "stop"
    said = list(run_job(made.job, lambda job: train(job.file.config(SettledTraining), job.project, job)))
    assert stop.exists() and last(said) == ("stopped", "train.stopped_early")
    assert not [event for event in said if event.kind in ("step", "checkpoint", "lora")]
    assert made.run()[-1].kind == "finished"


def test_a_stop_comes_after_the_step_that_is_being_computed_and_leaves_a_whole_state(lesson, monkeypatch):
    monkeypatch.setattr("ksh_studio.training.measures.step_log.EVERY_SECONDS", 1e9)  # no loss is read on the way
    monkeypatch.setattr("ksh_studio.training.stage.measured_plan", lambda run: iter(()))  # no dry steps
    made, computed = lesson(max_train_steps=100), []
    original = Stepper.sample_batch

    def draw(self, bucket, items, rows, index):
        computed.append(index)
        if len(computed) == 3:
            stop_job(made.job)
        return original(self, bucket, items, rows, index)

    monkeypatch.setattr(Stepper, "sample_batch", draw)
    events = made.run()
    assert last(events) == ("stopped", "train.stopped") and events[-1].values["step"] == "3"
    assert len(computed) == 3 and [event.step for event in made.of("step")] == [1, 2, 3]
    assert is_whole(made.job, 3)


def test_a_run_killed_before_its_first_checkpoint_begins_again_and_says_so(lesson):
    made = lesson(max_train_steps=4)
    for event in train(made.job.file.config(SettledTraining), made.project, made.job):
        with made.job.events_file.open("ab") as file:
            file.write(to_line(event))
        if event.kind == "step" and event.step == 2:
            break
    said = made.run()
    assert [event.step for event in said if event.kind == "resumed"] == [0]
    assert [event.step for event in made.of("step")] == [1, 2, 3, 4]


def test_values_that_are_not_finite_stop_the_run_and_keep_the_last_good_state(lesson, monkeypatch):
    made = lesson(max_train_steps=40)
    original = Stepper.sample_batch

    def draw(self, bucket, items, rows, index):
        batch = original(self, bucket, items, rows, index)
        return batch._replace(weights=batch.weights * (float("nan") if index in (1, 3, 4, 5, 6, 7) else 1.0))

    monkeypatch.setattr(Stepper, "sample_batch", draw)
    said = made.run()
    assert last(said) == ("failed", "train.diverged") and said[-1].values["step"] == "8"
    skipped = [event.values["step"] for event in said if getattr(event, "key", "") == "train.not_finite"]
    assert skipped == ["2", "4", "5", "6", "7", "8"]
    tensors = load_newest(made.job.checkpoints).tensors
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())
    attach(load_base(base_entry(made.job.file.settings["base_model"]), torch.device("cpu"), "no"),
           made.project.root / made.of("lora")[-1].path)  # fmt: skip


def test_after_a_divergence_the_lora_is_finite_and_the_advice_is_a_lower_rate(lesson, monkeypatch):
    made = lesson(max_train_steps=20)
    original = Stepper.sample_batch

    def draw(self, bucket, items, rows, index):
        batch = original(self, bucket, items, rows, index)
        return batch._replace(weights=batch.weights * (float("inf") if index >= 3 else 1.0))

    monkeypatch.setattr(Stepper, "sample_batch", draw)
    said = made.run()
    assert said[-1].key == "train.diverged" and said[-1].values["rate"] == "1.0e-02"
    assert sum(event.kind == "warned" for event in said) == 5
    tensors = safetensors.torch.load_file(next(made.job.loras.glob("*.safetensors")))
    assert all(bool(torch.isfinite(value).all()) for value in tensors.values())


def test_no_drawings_is_one_sentence(lesson, drawings):
    made = lesson()
    with Catalogue(made.project) as catalogue:
        for drawing in drawings:
            catalogue.exclude(drawing.id)
    assert last(made.run()) == ("failed", "train.no_drawings")


def test_a_base_that_is_not_there_is_one_sentence(lesson):
    with pytest.raises(StudioError, match="no model at /nowhere/model"):
        lesson(base_model="/nowhere/model")
    made = lesson()  # planned while the base was there
    file = json.loads((made.job.folder / "job.json").read_text())
    file["settings"]["base_model"] = "/nowhere/model"
    (made.job.folder / "job.json").write_text(json.dumps(file))
    assert made.run()[-1].key == "models.not_there"


def test_drawings_without_captions_are_counted(lesson, drawings):
    made = lesson(max_train_steps=1)
    with Catalogue(made.project) as catalogue:
        catalogue.save_caption(drawings[0].id, "")
        catalogue.save_caption(drawings[1].id, "")
    (warning,) = [event for event in made.run() if event.kind == "warned"]
    assert warning.key == "train.no_captions" and warning.values == {"count": "2", "total": "5"}


def test_changed_captions_are_told_when_a_job_goes_on(lesson, drawings):
    made = lesson(max_train_steps=4)
    made.run(stop_after=2)
    with Catalogue(made.project) as catalogue:
        catalogue.save_caption(drawings[0].id, "something new")
    assert [event.key for event in made.run() if event.kind == "warned"] == ["train.data_changed"]


def test_too_little_memory_is_a_sentence_with_numbers(lesson, monkeypatch):
    def full(self):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Stepper, "__call__", full)
    said = lesson().run()
    assert last(said) == ("failed", "train.out_of_memory")
    assert said[-1].text().startswith("The memory of this computer is not enough for 2 drawings of 64 px at rank 4")


def test_a_preview_that_fails_does_not_end_the_run(lesson, monkeypatch):
    def broken(*_):
        raise StudioError("generate.not_finite", base="x")

    monkeypatch.setattr("ksh_studio.training.measures.previews.make_pictures", broken)
    said = lesson(max_train_steps=2).run()
    assert said[-1].kind == "finished"
    assert {event.key for event in said if event.kind == "warned"} == {"train.preview_failed"}


def test_a_full_disk_ends_clearly_and_keeps_what_was_saved(lesson, monkeypatch):
    made = lesson(max_train_steps=6, checkpointing_steps=2)

    def full(folder, step, tensors, state):
        if step > 2:
            raise StudioError("disk.full", path=folder)
        return save_checkpoint(folder, step, tensors, state)

    monkeypatch.setattr("ksh_studio.training.saving.saver.save_checkpoint", full)
    assert last(made.run()) == ("failed", "disk.full")
    monkeypatch.undo()
    assert [event.step for event in made.run() if event.kind == "resumed"] == [2]
    assert made.of("step")[-1].step == 6


def test_the_original_preset_trains(lesson):
    preset = dict(TRAIN_PRESETS["original"]) | {"resolution": 64, "max_train_steps": 3, "num_train_epochs": None}
    made = lesson(**preset)
    assert made.run()[-1].kind == "finished"
    (info,) = list_loras(made.project.workspace, made.project).usable
    assert info.rank == 4 and info.alpha == 4.0 and info.module_count == 4 * 8
    assert [event.learning_rate for event in made.of("step")][0] == 1e-4


def test_prompts_made_of_captions_show_leakage(lesson):
    made = lesson(max_train_steps=1, validation_prompts=())
    made.run()
    prompts = [event.prompt for event in made.of("preview") if event.step == 0]
    trigger = "drawn by KSH drawing style"
    assert [prompt.endswith(trigger) for prompt in prompts] == [True, True, True, False]
    assert prompts[3] == prompts[0].removesuffix(f" {trigger}")
