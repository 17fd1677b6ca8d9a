"""Every kind of LoRA is trained, resumed, saved and taken up again; every optimiser trains a whole job."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from ksh_studio.config import TrainConfig
from ksh_studio.lora.file.adapter_types import group_by_module
from ksh_studio.lora.file.header import read_header
from ksh_studio.training.step.adapter import add_adapter
from tests.lora.bases import distance, outputs, tiny_base
from tests.tiny import tiny_base_folder
from tests.training.lessons import assert_same, outcome

pytestmark = pytest.mark.slow

KINDS = ["dora", "loha", "lokr"]


def last_lora(made):
    return made.project.root / made.of("lora")[-1].path


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_trained_resumed_exactly_and_says_where_it_does_not_load(kind, lesson):
    few = {"adapter": kind, "max_train_steps": 3, "train_text_encoder": kind == "lokr", "target_modules": "attention"}
    straight, halted = lesson(**few), lesson(**few)
    said = straight.run()
    assert [event.key for event in said if event.kind == "warned"] == [f"adapter.{kind}_loads"]
    halted.run(stop_after=2)
    assert halted.run()[-1].kind == "finished"
    assert_same(outcome(straight), outcome(halted))
    info = read_header(last_lora(straight))
    assert (info.adapter_type, info.rank) == (kind, 4)
    assert info.metadata["ss_network_module"] == "lycoris.kohya"
    assert json.loads(info.metadata["ss_network_args"])["algo"] == ("locon" if kind == "dora" else kind)
    moved = {role for roles in group_by_module(load_file(info.path)).values() for role, value in roles.items()
             if role.endswith(("lora_up", "hada_w2_b", "lokr_w1")) and value.abs().max() > 0}  # fmt: skip
    assert moved == {"dora": {"lora_up"}, "loha": {"hada_w2_b"}, "lokr": {"lokr_w1"}}[kind]


@pytest.mark.parametrize(("optimizer", "package"), [("prodigy", "prodigyopt"), ("schedule_free", "schedulefree")])
def test_a_whole_job_with_another_optimiser_stops_and_goes_on_exactly(optimizer, package, lesson):
    pytest.importorskip(package)
    few = {"optimizer": optimizer, "max_train_steps": 4, "validation_steps": 2, "learning_rate": None}
    straight, halted = lesson(**few), lesson(**few)
    straight.run()
    halted.run(stop_after=1)
    halted.run()
    halted.run()
    assert_same(outcome(straight), outcome(halted))
    assert [step for step, *_ in outcome(straight)[0]] == [1, 2, 3, 4]
    assert straight.job.file.settings["optimizer"] == optimizer


@pytest.fixture
def begun(lesson, project):
    def make(path, **values):
        target = project.workspace.loras / "start.safetensors"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
        still = {"max_train_steps": 1, "learning_rate": 1e-12, "ema_decay": 0.0, "adam_weight_decay": 0.0}
        return lesson(**still | {"init_lora": "loras/start.safetensors", "lr_scheduler": "constant"} | values)

    return make


@pytest.mark.parametrize("kind", ["lora", *KINDS])
def test_a_training_begins_where_the_file_ended_whatever_its_alpha(kind, lesson, begun):
    few = {"adapter": kind, "target_modules": "attention", "validation_prompts": ()}
    first = lesson(**few | {"max_train_steps": 2, "lora_alpha": 2.0})
    first.run()
    second = begun(last_lora(first), **few | {"lora_alpha": 8.0})
    assert second.run()[-1].kind == "finished"
    one, other = read_header(last_lora(first)), read_header(last_lora(second))
    before, after = group_by_module(load_file(one.path)), group_by_module(load_file(other.path))
    assert before.keys() == after.keys()
    for module, roles in before.items():
        for role in roles.keys() - {"alpha"}:
            scales = [
                float(own[module]["alpha"]) if role in ("lora_up", "hada_w2_b") else 1.0 for own in (before, after)
            ]
            was, now = roles[role].float() * scales[0], after[module][role].float() * scales[1]
            assert torch.allclose(was, now, rtol=2e-3, atol=1e-6), (module, role)


def test_what_was_left_open_is_as_in_the_file(lesson, begun):
    first = lesson(max_train_steps=1, rank=2, lora_alpha=3.0, target_modules="attention")
    first.run()
    second = begun(last_lora(first), rank=None, lora_alpha=None, target_modules="auto")
    assert second.run()[-1].kind == "finished"
    info = read_header(last_lora(second))
    assert (info.rank, info.alpha, info.module_count) == (2, 3.0, read_header(last_lora(first)).module_count)


def test_a_file_in_the_other_spelling_is_a_start_too(lesson, begun, tmp_path, base_folder):
    from diffusers import UNet2DConditionModel

    first = lesson(max_train_steps=2, target_modules="attention")
    first.run()
    tensors = group_by_module(load_file(last_lora(first)))
    unet = UNet2DConditionModel.from_pretrained(base_folder / "unet")
    paths = {f"lora_unet_{path.replace('.', '_')}": path for path, _ in unet.named_modules()}
    peft = {}
    for module, roles in tensors.items():
        peft[f"unet.{paths[module]}.lora_A.weight"] = roles["lora_down"]
        peft[f"unet.{paths[module]}.lora_B.weight"] = roles["lora_up"] * 0.5  # alpha / rank is in the matrix: no alpha
    save_file(peft, tmp_path / "peft.safetensors")
    second = begun(tmp_path / "peft.safetensors", target_modules="attention", lora_alpha=2.0)
    assert second.run()[-1].kind == "finished"
    after = group_by_module(load_file(last_lora(second)))
    for module, roles in tensors.items():
        assert torch.allclose(after[module]["lora_up"].float(), roles["lora_up"].float(), rtol=2e-3, atol=1e-6)


def test_a_file_that_is_something_else_is_one_sentence_naming_both(lesson, begun):
    first = lesson(max_train_steps=1, target_modules="attention")
    first.run()
    path = last_lora(first)
    for other in ({"rank": 8}, {"adapter": "loha"}, {"target_modules": "all"}, {"train_text_encoder": True}):
        (*_, last) = begun(path, **{"target_modules": "attention"} | other).run()
        assert (last.kind, last.key) == ("failed", "adapter.init_other")
        assert last.values["kind"] == "lora" and last.values["rank"] == "4"
        assert last.values["own_kind"] == other.get("adapter", "lora")
    (*_, last) = begun(path, init_lora="../outside.safetensors", target_modules="attention").run()
    assert (last.kind, last.key) == ("failed", "disk.outside")
    (*_, last) = begun(path, init_lora="loras/nothing.safetensors", target_modules="attention").run()
    assert (last.kind, last.key) == ("failed", "lora.missing")


def test_a_resumed_job_does_not_need_the_file_it_began_from(lesson, begun, project):
    first = lesson(max_train_steps=1)
    first.run()
    second = begun(last_lora(first), max_train_steps=3, target_modules="transformer")
    second.run(stop_after=1)
    (project.workspace.loras / "start.safetensors").unlink()
    assert second.run()[-1].kind == "finished"


def test_where_no_checkpoint_is_whole_it_begins_from_the_file_again(lesson, begun):
    first = lesson(max_train_steps=2, target_modules="attention", learning_rate=0.1)
    first.run()
    second = begun(last_lora(first), max_train_steps=2, target_modules="attention", learning_rate=1e-6)
    second.run(stop_after=1)
    for file in second.job.checkpoints.glob("*/tensors.safetensors"):
        file.write_bytes(b"")
    said = second.run()
    assert [event.key for event in said if event.kind == "warned"] == ["preflight.none_whole"]
    before, after = load_file(last_lora(first)), load_file(last_lora(second))
    ups = [key for key in before if "lora_up" in key]
    assert all(torch.allclose(after[key].float(), before[key].float(), atol=1e-3) for key in ups)
    assert max(before[key].abs().max() for key in ups) > 0.01


def test_a_fresh_adapter_of_every_type_changes_nothing(tmp_path):
    folder = tiny_base_folder(tmp_path / "base")
    without = outputs(tiny_base(folder)[1])
    for adapter in ["lora", *KINDS]:
        _, base = tiny_base(folder)
        config = TrainConfig(adapter=adapter, target_modules="all", rank=4, lora_alpha=2.0, train_text_encoder=True)
        parameters = add_adapter(base, config)
        assert distance(outputs(base), without) < 1e-5, adapter
        assert {parameter.dtype for parameter in parameters.values()} == {torch.float32}
        assert all(parameter.requires_grad for parameter in parameters.values())
        ids = {id(parameter) for parameter in parameters.values()}
        for model in (base.unet, base.text_encoder):
            assert [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in ids] == []
