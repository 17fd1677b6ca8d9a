"""Each optimiser learns, goes on exactly where it was saved, and skips a step that is not finite."""

import json
import sys

import pytest
import torch
from safetensors.torch import load, save

from ksh_studio.config import TrainConfig
from ksh_studio.errors import StudioError
from ksh_studio.models.registry import base_entry
from ksh_studio.training.checkpoint import Saved
from ksh_studio.training.plan.settle import resolve
from ksh_studio.training.step.adapter import notes_of
from ksh_studio.training.step.optimizers import Optimizer, schedule_of
from ksh_studio.training.step.state import TrainingState

PACKAGES = {"adamw8bit": "bitsandbytes", "prodigy": "prodigyopt", "schedule_free": "schedulefree"}
KINDS = ["adamw", "adamw8bit", "prodigy", "schedule_free"]
TARGET = torch.linspace(-1, 1, 64 * 80).reshape(64, 80)


@pytest.fixture(params=KINDS)
def kind(request):
    if request.param in PACKAGES:
        pytest.importorskip(PACKAGES[request.param])
    return request.param


def session(kind, **values):
    """A session over one matrix large enough for 8 bit, one that begins at zero, and one of the text encoder."""
    torch.manual_seed(5)
    parameters = {
        "unet.a.lora_A.weight": torch.nn.Parameter(torch.randn(64, 80)),
        "unet.a.lora_B.weight": torch.nn.Parameter(torch.zeros(64, 80)),
        "text_encoder.b.lora_A.weight": torch.nn.Parameter(torch.randn(5)),
    }
    rate = 1.0 if kind == "prodigy" else 0.1
    chosen = {"optimizer": kind, "learning_rate": rate, "text_encoder_lr": 0.1, "max_train_steps": 20} | values
    return TrainingState(parameters, TrainConfig(**chosen), torch.float32)


def loss_of(made):
    first, second, words = made.parameters.values()
    return ((first + second - TARGET) ** 2).mean() + (words**2).mean()


def steps(made, count, broken=()):
    """Make steps; those in `broken` have a gradient that is not a number."""
    losses = []
    for _ in range(count):
        loss = loss_of(made)
        (loss * float("nan") if made.step in broken else loss).backward()
        finite = torch.isfinite(made.parameters["unet.a.lora_A.weight"].grad).all().float()
        made.optimizer.step(finite, made.scaler)
        made.optimizer.zero_grad()
        made.step += 1
        made.average()
        losses.append(loss.item())
    return losses


def on_disk(made, tmp_path):
    """What a checkpoint holds, through the bytes of its two files."""
    tensors = load(save({name: tensor.contiguous() for name, tensor in made.tensors().items()}))
    return Saved(made.step, tensors, json.loads(json.dumps(made.state())), tmp_path)


def state(made):
    return made.tensors(), made.optimizer.numbers()


def assert_same(one, other):
    assert one[0].keys() == other[0].keys() and one[1] == other[1]
    assert [name for name in one[0] if not torch.equal(one[0][name], other[0][name])] == []


def test_it_learns(kind):
    made = session(kind)
    losses = steps(made, 60)
    with made.showing_result(), torch.no_grad():
        assert loss_of(made).item() < 0.5 * losses[0]


def test_going_on_from_a_checkpoint_is_exact_at_every_step(kind, tmp_path):
    straight = session(kind)
    steps(straight, 5)
    for k in range(1, 5):
        first = session(kind)
        steps(first, k)
        saved = on_disk(first, tmp_path)
        second = session(kind)
        second.restore(saved)
        assert_same(state(first), state(second))
        steps(second, 5 - k)
        assert_same(state(second), state(straight))


def test_looking_at_the_result_changes_nothing(kind):
    seen, blind = session(kind), session(kind)
    for _ in range(4):
        steps(seen, 1)
        steps(blind, 1)
        with seen.showing_result():
            shown = {name: parameter.detach().clone() for name, parameter in seen.parameters.items()}
        result = seen.result()
        assert all(torch.equal(shown[name], result[name]) for name in shown)
    assert_same(state(seen), state(blind))


def test_a_step_that_is_not_finite_moves_nothing(kind):
    made = session(kind)
    steps(made, 2)
    before = {name: value.clone() for name, value in state(made)[0].items() if "ema/" not in name}
    numbers = state(made)[1]
    steps(made, 1, broken={2})
    after = state(made)
    assert all(torch.equal(after[0][name], value) for name, value in before.items())
    assert after[1] == numbers
    steps(made, 1)
    assert not torch.equal(made.parameters["unet.a.lora_A.weight"], before["weight/unet.a.lora_A.weight"])


def test_schedule_free_saves_its_average_and_keeps_no_second_one():
    pytest.importorskip("schedulefree")
    made = session("schedule_free")
    steps(made, 5)
    assert made.ema == {}
    name = "unet.a.lora_A.weight"
    stepped, fast = made.parameters[name].detach(), made.tensors()[f"adam/z/{name}"]
    average = stepped + (fast - stepped) * (1 - 1 / made.config.adam_beta1)  # arXiv:2405.15682, y = (1 - b) z + b x
    assert torch.allclose(made.result()[name], average, atol=1e-6)
    assert not torch.allclose(stepped, average, atol=1e-3)
    assert schedule_of(made.config) == "constant_with_warmup"
    assert schedule_of(session("adamw").config) == "cosine"


def test_prodigy_finds_one_pace_for_both_parts_and_tells_it():
    pytest.importorskip("prodigyopt")
    made = session("prodigy", text_encoder_lr=1e-5)
    assert [group["base_lr"] for group in made.optimizer.param_groups] == [1.0, 1.0]
    before = made.optimizer.learning_rate
    steps(made, 30)
    assert made.optimizer.learning_rate > 10 * before
    assert made.optimizer.learning_rate == made.optimizer.param_groups[0]["d"]


def test_a_checkpoint_of_another_optimiser_gives_its_weights_only(tmp_path):
    pytest.importorskip("prodigyopt")
    first = session("adamw")
    steps(first, 3)
    second = session("prodigy")
    second.restore(on_disk(first, tmp_path))
    assert second.step == 3 and second.optimizer.tensors() == {}
    assert all(torch.equal(first.parameters[name], value) for name, value in second.parameters.items())


@pytest.mark.parametrize("kind", PACKAGES)
def test_a_missing_package_is_one_sentence_with_the_command(kind, monkeypatch):
    monkeypatch.setitem(sys.modules, PACKAGES[kind], None)
    with pytest.raises(StudioError, match=f"pip install {PACKAGES[kind]}"):
        session(kind)


def test_the_packages_are_imported_only_when_chosen(monkeypatch):
    for package in PACKAGES.values():
        monkeypatch.setitem(sys.modules, package, None)  # importing it would raise
    assert isinstance(session("adamw").optimizer, Optimizer)


def test_prodigys_learning_rate_is_one_unless_the_artist_says_otherwise():
    entry = base_entry("pocket")
    assert resolve(TrainConfig(optimizer="prodigy"), entry, 40).learning_rate == 1.0
    assert resolve(TrainConfig(optimizer="prodigy", learning_rate=0.5), entry, 40).learning_rate == 0.5
    assert resolve(TrainConfig(), entry, 40).learning_rate < 0.1


def test_prodigy_at_an_ordinary_rate_is_warned_of():
    def notes(**values):
        return [note.key for note in notes_of(TrainConfig(**{"learning_rate": 1e-4} | values))]

    assert notes(optimizer="prodigy") == ["adapter.prodigy_rate"]
    assert notes(optimizer="prodigy", adapter="loha") == ["adapter.loha_loads", "adapter.prodigy_rate"]
    assert notes(optimizer="prodigy", learning_rate=1.0) == notes() == []
