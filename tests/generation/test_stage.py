"""The Generate stage from request to files: events in order, pictures with recipes, LoRA files, stops and failures."""

import errno
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from ksh_studio import ROOT, disk
from ksh_studio.config import GenerateConfig
from ksh_studio.disk import write_bytes
from ksh_studio.events import Failed, Finished, Picture, Progress, Started, Stopped, Warned
from ksh_studio.generation import loaded
from ksh_studio.generation import stage as pictures
from ksh_studio.generation.loaded import LoadedModels
from ksh_studio.generation.pictures.gallery import pictures_of
from ksh_studio.generation.pictures.recipe import read_recipe
from ksh_studio.generation.stage import generate
from tests.tiny import tiny_lora_file

REQUEST = GenerateConfig(prompt="a fox", num_inference_steps=2, seed=7)


def never():
    return False


@pytest.fixture(scope="module")
def models():
    return LoadedModels()


def run(project, models, should_stop=never, **changes):
    return list(generate(REQUEST.model_copy(update=changes), project, should_stop, models))


def pixels(project, event):
    return np.asarray(Image.open(project.root / event.path), np.int16)


def drawn(project, models, **changes):
    return [pixels(project, event) for event in run(project, models, **changes) if isinstance(event, Picture)]


def test_a_request_becomes_pictures_with_their_recipe(tiny_project, models):
    events = run(tiny_project, models, batch_size=2)
    assert [type(event) for event in events] == [Started, *[Progress] * 4, Picture, Picture, Finished]
    assert [(e.phase, e.done, e.total) for e in events[1:5]] == [
        ("load", 0, 1),
        ("load", 1, 1),
        ("denoise", 1, 2),
        ("denoise", 2, 2),
    ]
    assert [(event.seed, event.index, event.total) for event in events[5:7]] == [(7, 0, 2), (8, 1, 2)]
    assert events[-1].figures["pictures"] == 2
    assert events[-1].figures["steps_per_second"] > 0
    assert [picture.seed for picture in pictures_of(tiny_project)] == [8, 7]
    recipe = read_recipe(tiny_project.root / events[5].path)
    assert recipe.exact
    assert recipe.config.prompt == "a fox"
    assert ", Model: tiny, " in recipe.parameters
    raw = (tiny_project.root / events[5].path).read_bytes()
    assert str(tiny_project.settings().base_model).encode() not in raw  # no folder of this machine is shown to others


def test_a_picture_is_drawn_again_from_its_recipe(tiny_project, models):
    first = run(tiny_project, models, seed=None, sampler="UniPC", lora_scale=0.5)
    picture = next(event for event in first if isinstance(event, Picture))
    config = read_recipe(tiny_project.root / picture.path).config
    again = next(e for e in generate(config, tiny_project, never, models) if isinstance(e, Picture))
    assert (pixels(tiny_project, picture) == pixels(tiny_project, again)).all()


def test_no_seed_means_a_random_one(tiny_project, models):
    seeds = [e.seed for _ in range(3) for e in run(tiny_project, models, seed=None) if isinstance(e, Picture)]
    assert len(set(seeds)) == 3


def test_a_lora_acts_with_its_strength_and_leaves_no_trace(tiny_project, models):
    tiny_lora_file(tiny_project.workspace.loras / "ink.safetensors")
    plain = drawn(tiny_project, models)[0]
    full, half, none = (
        drawn(tiny_project, models, lora="loras/ink.safetensors", lora_scale=scale)[0] for scale in (1.0, 0.5, 0.0)
    )
    assert np.abs(full - plain).mean() > 1
    assert 0 < np.abs(half - plain).mean() < np.abs(full - plain).mean()
    assert np.abs(none - plain).max() <= 1
    assert (drawn(tiny_project, models)[0] == plain).all()


def test_strength_needs_no_reloading(tiny_project, models, monkeypatch):
    tiny_lora_file(tiny_project.workspace.loras / "ink.safetensors")
    run(tiny_project, models, lora="loras/ink.safetensors")
    monkeypatch.setattr("ksh_studio.generation.loaded.attach", lambda *_, **__: pytest.fail("read again"))
    monkeypatch.setattr("ksh_studio.generation.loaded.load_base", lambda *_, **__: pytest.fail("loaded again"))
    events = run(tiny_project, models, lora="loras/ink.safetensors", lora_scale=0.3)
    assert isinstance(events[-1], Finished)


def test_a_tag_in_the_prompt_is_the_same_as_the_setting_and_two_files_act_together(tiny_project, models):
    loras = tiny_project.workspace.loras
    tiny_lora_file(loras / "ink.safetensors", seed=1)
    tiny_lora_file(loras / "wash.safetensors", seed=2)
    by_setting = drawn(tiny_project, models, lora="loras/ink.safetensors", lora_scale=0.5)[0]
    by_tag = drawn(tiny_project, models, prompt="a fox<lora:ink:0.5>")[0]
    assert (by_setting == by_tag).all()
    both = drawn(tiny_project, models, prompt="a fox<lora:ink:0.5><lora:wash:0.5>")[0]
    other_way = drawn(
        tiny_project, models, prompt="a fox<lora:ink:0.5>", lora="loras/wash.safetensors", lora_scale=0.5
    )[0]
    assert np.abs(both - by_tag).mean() > 0.5
    assert np.abs(both - other_way).max() <= 2


def test_the_recipe_names_each_lora_once_with_its_hash(tiny_project, models):
    loras = tiny_project.workspace.loras
    tiny_lora_file(loras / "ink.safetensors", seed=1)
    tiny_lora_file(loras / "wash.safetensors", seed=2)
    events = run(tiny_project, models, prompt="a fox<lora:wash:0.5>", lora="loras/ink.safetensors", lora_scale=0.8)
    path = next(tiny_project.root / event.path for event in events if isinstance(event, Picture))
    text = read_recipe(path).parameters
    assert text.startswith("a fox<lora:wash:0.5> <lora:ink:0.8>\n")
    tensors = (loras / "ink.safetensors").read_bytes()
    tensors = tensors[8 + int.from_bytes(tensors[:8], "little") :]
    assert f'"ink: {hashlib.sha256(tensors).hexdigest()[:12]}, wash: ' in text
    both = run(tiny_project, models, prompt="a fox<lora:ink:0.5>", lora="loras/ink.safetensors", lora_scale=0.3)
    path = next(tiny_project.root / event.path for event in both if isinstance(event, Picture))
    assert read_recipe(path).parameters.startswith("a fox<lora:ink:0.5> <lora:ink:0.3>\n")


def test_an_unknown_tag_is_a_warning_and_the_picture_is_drawn(tiny_project, models):
    events = run(tiny_project, models, prompt="a fox <lora:nobody:1>")
    assert [e.key for e in events if isinstance(e, Warned)] == ["generate.no_such_lora"]
    assert isinstance(events[-1], Finished)


def test_a_model_that_must_be_downloaded_first_is_announced(tiny_project, models):
    events = run(tiny_project, models, base_model="nobody/nothing")
    assert [event.key for event in events if isinstance(event, Warned)] == ["models.downloading"]


def test_korean_and_brackets_are_warned_of(tiny_project, models):
    events = run(tiny_project, models, prompt="여우 (fox")
    assert [e.key for e in events if isinstance(e, Warned)] == ["prompt.korean", "prompt.unclosed"]


def test_ten_thousand_brackets_are_drawn_like_none(tiny_project, models):
    plain = drawn(tiny_project, models)[0]
    assert (drawn(tiny_project, models, prompt="[" * 10 + "a fox" + "]" * 10)[0] != plain).any()
    events = run(tiny_project, models, prompt="(" * 5000 + "[" * 5000)
    assert isinstance(events[-1], Finished)
    assert sum(isinstance(event, Warned) for event in events) == 9


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"base_model": "/no/such/folder"}, "models.not_there"),
        ({"base_model": "model.ckpt"}, "models.pickle"),
        ({"base_model": "nobody/nothing"}, "models.hub_unreachable"),
        ({"lora": "loras/missing.safetensors"}, "lora.missing"),
        ({"lora": "../../outside.safetensors"}, "disk.outside"),
        ({"lora": "/etc/passwd"}, "disk.outside"),
        ({"sampler": "DDIM", "schedule": "Karras"}, "generate.no_such_pair"),
        ({"clip_skip": 4}, "generate.clip_skip_too_deep"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(tiny_project, models, changes, key):
    events = run(tiny_project, models, **changes)
    assert isinstance(events[-1], Failed)
    assert events[-1].key == key
    assert "\n" not in events[-1].text()
    assert events[-1].text("ko") != events[-1].text("en")
    assert pictures_of(tiny_project) == []


def test_a_lora_for_another_model_or_no_lora_is_one_sentence_and_the_next_request_works(tiny_project, models):
    loras = tiny_project.workspace.loras
    tiny_lora_file(loras / "wide.safetensors", width=48)
    (loras / "text.safetensors").write_text("no lora")
    (loras / "bomb.ckpt").write_bytes(b"cposix\nsystem\n(S'touch marker'\ntR.")
    tiny_lora_file(loras / "ink.safetensors")
    for name, key in (
        ("wide.safetensors", "lora.only_for"),
        ("text.safetensors", "lora."),
        ("bomb.ckpt", "lora.not_safetensors"),
    ):
        events = run(tiny_project, models, lora=f"loras/{name}")
        assert isinstance(events[-1], Failed)
        assert events[-1].key.startswith(key)
    assert isinstance(run(tiny_project, models, lora="loras/ink.safetensors")[-1], Finished)


def test_stop_ends_after_the_current_step_and_saves_nothing(tiny_project, models):
    events = []
    config = REQUEST.model_copy(update={"num_inference_steps": 5})
    for event in generate(config, tiny_project, lambda: _steps(events) == [1, 2], models):
        events.append(event)
    assert isinstance(events[-1], Stopped)
    assert _steps(events) == [1, 2]
    assert pictures_of(tiny_project) == []


def _steps(events):
    return [event.done for event in events if isinstance(event, Progress) and event.phase == "denoise"]


def test_stop_is_looked_at_within_a_step_while_a_prompt_is_encoded_and_between_pictures(tiny_project, models):
    """Every check that a whole request makes is a place where it can end."""
    checks = []
    whole = {"batch_size": 2, "prompt": "a fox BREAK " * 20, "num_inference_steps": 1}
    assert isinstance(run(tiny_project, models, lambda: checks.append(1), **whole)[-1], Finished)
    assert len(checks) > 50
    saved = len(pictures_of(tiny_project))
    made = []
    for last in (1, 5, len(checks) // 2, len(checks) - 2):
        asked = iter(range(len(checks)))
        events = run(tiny_project, models, lambda asked=asked, last=last: next(asked) >= last, **whole)
        assert isinstance(events[-1], Stopped)
        made.append(len(pictures_of(tiny_project)) - saved)
        saved += made[-1]
    assert made[0] == 0 and made[-1] == 1
    plain = run(tiny_project, models)
    assert isinstance(plain[-1], Finished)  # nothing of the stops is left on the model


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"prompt": "a BREAK " * 2500}, "generate.many_chunks"),
        ({"negative_prompt": "a BREAK " * 2500}, "generate.many_chunks"),
        ({"prompt": "가" * 20_000}, "generate.many_chunks"),
        (
            {"prompt": "a BREAK " * 60, "num_inference_steps": 150, "batch_size": 16, "width": 256, "height": 256},
            "generate.much_work",
        ),
    ],
)
def test_a_request_without_bounds_is_refused_before_anything_is_computed(
    tiny_project, models, monkeypatch, changes, key
):
    monkeypatch.setattr(pictures, "denoise", lambda *_: pytest.fail("began to draw"))
    events = run(tiny_project, models, **changes)
    assert isinstance(events[-1], Failed)
    assert events[-1].key == key


def test_too_many_breaks_are_refused_before_a_model_is_loaded(tiny_project):
    events = run(tiny_project, None, prompt="a BREAK " * 2500, base_model="nobody/nothing")
    assert events[-1].key == "generate.many_chunks"
    assert not any(isinstance(event, Progress) for event in events)


def test_a_full_disk_keeps_what_was_saved_and_says_so(tiny_project, models, monkeypatch):
    calls = []

    def full(path, data):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_bytes(path, data)

    monkeypatch.setattr("ksh_studio.generation.pictures.gallery.write_bytes", full)
    events = run(tiny_project, models, batch_size=2)
    assert isinstance(events[-1], Failed)
    assert events[-1].key == "disk.full"
    assert [picture.seed for picture in pictures_of(tiny_project)] == [7]
    assert disk.is_locked(pictures_of(tiny_project)[0].path.parent / ".numbering.lock") is False


def test_latents_that_are_not_finite_are_an_error_and_no_file(tiny_project, models, monkeypatch):
    def broken(*arguments):
        for step in denoise(*arguments):
            step.latents[0, 0, 0, 0] = float("nan")
            yield step

    denoise = pictures.denoise
    monkeypatch.setattr(pictures, "denoise", broken)
    events = run(tiny_project, models)
    assert isinstance(events[-1], Failed)
    assert events[-1].key == "generate.not_finite"
    assert pictures_of(tiny_project) == []


def test_too_little_memory_is_one_sentence(tiny_project, models, monkeypatch):
    def full(*arguments):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(pictures, "denoise", full)
    events = run(tiny_project, models)
    assert isinstance(events[-1], Failed)
    assert events[-1].key == "generate.no_memory"


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory")])
def test_a_lora_that_finds_no_memory_leaves_nothing_on_the_model(tiny_project, models, monkeypatch, error):
    plain = drawn(tiny_project, models)[0]
    for name in ("ink", "pen"):
        tiny_lora_file(tiny_project.workspace.loras / f"{name}.safetensors")
    attach, attached = loaded.attach, []

    def full(base, path, adapter):
        if attached:
            raise error
        attached.append(attach(base, path, adapter=adapter))

    monkeypatch.setattr(loaded, "attach", full)
    events = run(tiny_project, models, prompt="a fox <lora:ink:1> <lora:pen:1>")
    assert events[-1].key == "generate.no_memory"
    assert (drawn(tiny_project, models)[0] == plain).all()


IN_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
import psutil
from ksh_studio.config import GenerateConfig
from ksh_studio.generation.loaded import LoadedModels
from ksh_studio.generation.stage import generate
from ksh_studio.project.workspace import Workspace

project, models = next(iter(Workspace(Path(sys.argv[1])).projects())), LoadedModels()
request = GenerateConfig(prompt="a fox", num_inference_steps=1)
list(generate(request, project, lambda: False, models))
most = psutil.Process().memory_info().vms + 20_000_000
resource.setrlimit(resource.RLIMIT_AS, (most, most))
large = request.model_copy(update={"width": 1024, "height": 1024, "batch_size": 16})
for event in generate(large, project, lambda: False, models):
    last = event
print(last.key)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_cpu_whose_memory_is_full_says_so(tiny_project):
    arguments = [sys.executable, "-c", IN_LITTLE_MEMORY, str(tiny_project.workspace.root)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "generate.no_memory", done.stderr
