"""A LoRA is written as other programs read it, and proved before it takes its name."""

import hashlib
import json
import re

import pytest
import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig, get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel

from ksh_studio.errors import StudioError
from ksh_studio.lora import save as export
from ksh_studio.lora.file.adapter_types import group_by_module
from ksh_studio.lora.file.names import TEXT_ENCODER_TARGETS, UNET_TARGETS, kohya_name
from ksh_studio.lora.file.weights import LoraWeights
from ksh_studio.lora.on_base.attach import attach
from ksh_studio.lora.on_base.fitting import base_shapes
from ksh_studio.lora.save import kohya_tensors, save_lora
from tests.lora.bases import distance, outputs

RANK, ALPHA = 8, 4.0  # of the fixture `random_lora`
OTHERS = ["dora", "loha", "lokr"]


def reloaded(load_base, path):
    pipe, base = load_base()
    pipe.load_lora_weights(path)
    return outputs(base)


@pytest.mark.parametrize("targets", ["attention", "transformer", "all"])
def test_a_saved_lora_gives_exactly_the_same_output_on_a_base(targets, load_base, random_lora, metadata, tmp_path):
    base, weights = random_lora(targets)
    save_lora(tmp_path / "exact.safetensors", base, weights, metadata, dtype=torch.float32)
    save_lora(tmp_path / "half.safetensors", base, weights, metadata)
    live, bare = outputs(base), outputs(load_base()[1])
    exact, half = (
        reloaded(load_base, tmp_path / "exact.safetensors"),
        reloaded(load_base, tmp_path / "half.safetensors"),
    )
    for index in range(2):
        effect = (live[index] - bare[index]).abs().max().item()
        assert effect > 0.05
        assert (exact[index] - live[index]).abs().max().item() == 0.0
        assert (half[index] - live[index]).abs().max().item() < 1e-3 * effect


def test_names_are_exactly_the_bases_own_modules(random_lora, metadata, tmp_path):
    base, weights = random_lora()
    save_lora(tmp_path / "ksh.safetensors", base, weights, metadata)
    tensors = load_file(tmp_path / "ksh.safetensors")
    shapes = base_shapes("unet", base.unet) | base_shapes("text_encoder", base.text_encoder)
    targets = [name.replace(".", "_") for name in (*UNET_TARGETS["transformer"], *TEXT_ENCODER_TARGETS)]
    expected = {name for name in shapes if name.endswith(tuple(targets))}
    roles = (".lora_down.weight", ".lora_up.weight", ".alpha")
    assert set(tensors) == {name + role for name in expected for role in roles}
    assert all(tensors[f"{name}.alpha"].item() == ALPHA and tensors[f"{name}.alpha"].ndim == 0 for name in expected)


def test_an_alpha_that_half_precision_cannot_hold_is_saved_as_it_is(random_lora, metadata, tmp_path):
    base, weights = random_lora("attention", text_encoder=False, alpha=2.3)
    path = save_lora(tmp_path / "ksh.safetensors", base, weights, metadata).path
    alphas = {tensor.item() for key, tensor in load_file(path).items() if key.endswith(".alpha")}
    assert alphas == {torch.tensor(2.3).item()}


def test_alpha_and_delta_are_the_adapters_own(random_lora, metadata, tmp_path):
    base, weights = random_lora()
    save_lora(tmp_path / "ksh.safetensors", base, weights, metadata, dtype=torch.float32)
    tensors, checked = load_file(tmp_path / "ksh.safetensors"), 0
    for path, layer in base.unet.named_modules():
        if "default" not in getattr(layer, "scaling", {}):
            continue
        name = kohya_name("unet", path)
        down, up = tensors[f"{name}.lora_down.weight"], tensors[f"{name}.lora_up.weight"]
        delta = up.flatten(1) @ down.flatten(1) * tensors[f"{name}.alpha"] / down.shape[0]
        assert torch.allclose(delta, layer.get_delta_weight("default").flatten(1), atol=1e-6)
        checked += 1
    assert checked == 48  # 4 transformers of 12 modules


def test_metadata_are_strings_without_paths_and_hashes_match_the_file(random_lora, metadata, tmp_path):
    base, weights = random_lora()
    header = save_lora(tmp_path / "ksh_000500.safetensors", base, weights, metadata)
    with safe_open(tmp_path / "ksh_000500.safetensors", "pt") as file:
        read = file.metadata()
    assert read == header.metadata and all(isinstance(value, str) for value in read.values())
    assert "lora_adapter_metadata" not in read
    assert not any("/" in value or "\\" in value for key, value in read.items() if key != "modelspec.architecture")
    assert json.loads(read["ss_tag_frequency"])["ksh"]
    assert read["ss_output_name"] == "ksh_000500" and re.fullmatch(r"[A-Za-z0-9_.-]+", read["ss_output_name"])
    data = (tmp_path / "ksh_000500.safetensors").read_bytes()
    body = data[8 + int.from_bytes(data[:8], "little") :]
    assert read["sshs_model_hash"] == hashlib.sha256(body).hexdigest()
    assert header.hash == read["sshs_model_hash"][:12] and len(read["sshs_legacy_hash"]) == 8
    assert header.trigger == "drawn by KSH drawing style" and header.base == header.only_base == "tiny"
    assert (header.step, header.rank, header.alpha, header.module_count) == (500, RANK, ALPHA, 48 + 18)


def test_a_save_that_does_not_come_back_the_same_keeps_the_file_before(random_lora, metadata, tmp_path, monkeypatch):
    base, weights = random_lora()
    path = tmp_path / "ksh.safetensors"
    save_lora(path, base, weights, metadata)
    before = path.read_bytes()

    def wrong_alpha(weights, dtype=torch.float16):
        return {key: tensor * 2 for key, tensor in kohya_tensors(weights, dtype).items()}

    monkeypatch.setattr(export, "kohya_tensors", wrong_alpha)
    with pytest.raises(StudioError, match="did not come back"):
        save_lora(path, base, weights, metadata)
    assert path.read_bytes() == before and not list(tmp_path.glob(".*"))


def test_values_that_are_not_finite_are_never_saved(random_lora, metadata, tmp_path):
    base, weights = random_lora()
    next(iter(weights.unet.values()))[0, 0] = float("nan")
    with pytest.raises(StudioError, match="not finite"):
        save_lora(tmp_path / "ksh.safetensors", base, weights, metadata)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["ksh style", "그림", "none", "a:b"])
def test_a_name_other_programs_misread_is_refused(name, random_lora, metadata, tmp_path):
    base, weights = random_lora()
    with pytest.raises(StudioError, match="letters"):
        save_lora(tmp_path / f"{name}.safetensors", base, weights, metadata)


def sd15_expected(rank):
    """Names and shapes of the 264 modules, from the tables of the LoRA file's reference (section 1)."""
    sizes_by_module = {}
    places = [(f"down_blocks_{b}_attentions_{n}", c) for b, c in ((0, 320), (1, 640), (2, 1280)) for n in range(2)]
    places += [("mid_block_attentions_0", 1280)]
    places += [(f"up_blocks_{b}_attentions_{n}", c) for b, c in ((1, 1280), (2, 640), (3, 320)) for n in range(3)]
    for place, c in places:
        block = f"lora_unet_{place}_transformer_blocks_0_"
        sizes = {f"{block}attn{a}_to_{m}": (c, c) for a in (1, 2) for m in ("q", "k", "v", "out_0")}
        sizes |= {f"{block}attn2_to_{m}": (768, c) for m in ("k", "v")}
        sizes |= {f"{block}ff_net_0_proj": (c, 8 * c), f"{block}ff_net_2": (4 * c, c)}
        for name, (inside, outside) in sizes.items():
            sizes_by_module[name] = ((rank, inside), (outside, rank))
        for name in ("proj_in", "proj_out"):
            sizes_by_module[f"lora_unet_{place}_{name}"] = ((rank, c, 1, 1), (c, rank, 1, 1))
    for layer in range(12):
        block = f"lora_te_text_model_encoder_layers_{layer}_"
        for name in ("self_attn_q_proj", "self_attn_k_proj", "self_attn_v_proj", "self_attn_out_proj"):
            sizes_by_module[block + name] = ((rank, 768), (768, rank))
        sizes_by_module[block + "mlp_fc1"] = ((rank, 768), (3072, rank))
        sizes_by_module[block + "mlp_fc2"] = ((rank, 3072), (768, rank))
    return sizes_by_module


def test_the_real_sd15_gives_the_264_names_and_shapes_every_program_knows(tmp_path):
    text = CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    with torch.device("meta"):
        unet, text_encoder = UNet2DConditionModel(cross_attention_dim=768), CLIPTextModel(text)
        unet.add_adapter(LoraConfig(r=2, lora_alpha=1, target_modules=list(UNET_TARGETS["transformer"])))
        text_encoder.add_adapter(LoraConfig(r=2, lora_alpha=1, target_modules=list(TEXT_ENCODER_TARGETS)))
    states = [get_peft_model_state_dict(model, adapter_name="default") for model in (unet, text_encoder)]
    real = [{key: torch.full(tensor.shape, 0.5) for key, tensor in state.items()} for state in states]
    tensors = kohya_tensors(LoraWeights(real[0], 1.0, real[1]))
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    expected = sd15_expected(2)
    assert len(expected) == 264 and len([name for name in expected if name.startswith("lora_unet_")]) == 192
    assert shapes == {
        key: shape
        for name, (down, up) in expected.items()
        for key, shape in ((f"{name}.lora_down.weight", down), (f"{name}.lora_up.weight", up), (f"{name}.alpha", ()))
    }
    assert (
        sum(tensor.numel() for key, tensor in tensors.items() if not key.endswith("alpha")) == (423_936 + 165_888) * 2
    )


@pytest.mark.parametrize("adapter_type", OTHERS)
@pytest.mark.parametrize("targets", ["transformer", "all"])
def test_a_saved_file_draws_as_the_adapter_did(adapter_type, targets, load_base, random_adapter, metadata, tmp_path):
    base, weights = random_adapter(adapter_type, targets)
    live, bare = outputs(base), outputs(load_base()[1])
    assert distance(live, bare) > 0.05
    exact = save_lora(tmp_path / "exact.safetensors", base, weights, metadata, dtype=torch.float32)
    half = save_lora(tmp_path / "half.safetensors", base, weights, metadata)
    assert exact.adapter_type == half.adapter_type == adapter_type and exact.module_count == half.module_count
    _, base_with_lora = load_base()
    attach(base_with_lora, exact.path)
    assert distance(outputs(base_with_lora), live) < 1e-4
    attach(base_with_lora, half.path)
    assert distance(outputs(base_with_lora), live) < 2e-2 * distance(live, bare)


@pytest.mark.parametrize("adapter_type", OTHERS)
def test_names_and_shapes_are_those_that_lycoris_writes(adapter_type, random_adapter, metadata, tmp_path):
    base, weights = random_adapter(adapter_type, "all", text_encoder=False)
    header = save_lora(tmp_path / "names.safetensors", base, weights, metadata)
    tensors = load_file(header.path)
    linear = group_by_module(tensors)["lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"]
    conv = group_by_module(tensors)["lora_unet_down_blocks_0_resnets_0_conv1"]
    shapes = [{role: tuple(tensor.shape) for role, tensor in roles.items()} for roles in (linear, conv)]
    expected = {
        "dora": [
            {"lora_down": (4, 16), "lora_up": (16, 4), "alpha": (), "dora_scale": (16, 1)},
            {"lora_down": (4, 16, 3, 3), "lora_up": (16, 4, 1, 1), "alpha": (), "dora_scale": (16, 1, 1, 1)},
        ],
        "loha": [
            {"hada_w1_a": (16, 4), "hada_w1_b": (4, 16), "hada_w2_a": (16, 4), "hada_w2_b": (4, 16), "alpha": ()},
            {"hada_w1_a": (16, 4), "hada_w1_b": (4, 144), "hada_w2_a": (16, 4), "hada_w2_b": (4, 144), "alpha": ()},
        ],
        "lokr": [
            {"lokr_w1": (4, 4), "lokr_w2": (4, 4), "alpha": ()},
            {"lokr_w1": (4, 4), "lokr_w2": (4, 4, 3, 3), "alpha": ()},
        ],
    }
    assert shapes == expected[adapter_type]
    assert header.rank == 4


def test_a_lokr_says_the_same_scale_to_every_reader_whether_factored_or_not(random_adapter, metadata, tmp_path):
    """Readers divide alpha by the rank where a half is factored and take 1 where both are whole: ours is 1 in both."""
    for rank in (1, 16):
        base, weights = random_adapter("lokr", rank=rank, alpha=0.5)
        header = save_lora(tmp_path / f"{rank}.safetensors", base, weights, metadata, dtype=torch.float32)
        modules = group_by_module(load_file(header.path))
        assert any("lokr_w2_a" in roles for roles in modules.values()) == (rank == 1)
        for roles in modules.values():
            assert roles["alpha"].item() == rank
