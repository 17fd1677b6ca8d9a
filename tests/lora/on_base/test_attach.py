"""A LoRA file on a base: its strength, taking it off, and what does not fit."""

import json
from types import SimpleNamespace

import pytest
import torch
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file

from ksh_studio.errors import StudioError
from ksh_studio.lora.file.names import kohya_name
from ksh_studio.lora.on_base.attach import attach, detach, set_strength
from ksh_studio.lora.save import save_lora
from tests.lora.bases import distance, distances, outputs
from tests.tiny import tiny_clip_tokenizer, tiny_lora_file, tiny_text_encoder, tiny_unet


@pytest.fixture
def saved(random_lora, metadata, tmp_path):
    base, weights = random_lora()
    save_lora(tmp_path / "ksh.safetensors", base, weights, metadata)
    return tmp_path / "ksh.safetensors"


def test_strength_is_set_without_reloading_and_taking_it_off_leaves_no_trace(saved, load_base):
    _, base = load_base()
    bare = outputs(base)
    attach(base, saved, strength=1.0)
    full = outputs(base)
    set_strength(base, 0.0)
    assert distances(outputs(base), bare) == [0.0, 0.0]
    set_strength(base, 0.5)
    half = outputs(base)
    assert all(0 < d for d in distances(half, bare)) and distances(half, bare) < distances(full, bare)
    set_strength(base, 1.0)
    assert distances(outputs(base), full) == [0.0, 0.0]
    detach(base)
    assert distances(outputs(base), bare) == [0.0, 0.0]


def test_another_file_takes_the_place_of_the_first(saved, load_base, random_lora, metadata, tmp_path):
    other_base, weights = random_lora(text_encoder=False)
    save_lora(tmp_path / "unet-only.safetensors", other_base, weights, metadata)
    _, base = load_base()
    bare = outputs(base)
    attach(base, saved)
    attach(base, tmp_path / "unet-only.safetensors")
    unet, words = distances(outputs(base), bare)
    assert unet > 0.05 and words == 0.0


def rewritten(saved, tmp_path, change, metadata=None):
    tensors = change(load_file(saved))
    save_file(tensors, tmp_path / "other.safetensors", metadata or {})
    return tmp_path / "other.safetensors"


def sdxl(tensors):
    extra = {"lora_te2_text_model_a.lora_down.weight": torch.ones(4, 8)}
    return tensors | extra | {"lora_te2_text_model_a.lora_up.weight": torch.ones(8, 4)}


def wider(tensors):
    return {
        key: torch.ones(*t.shape[:1], 999) if key.endswith("q.lora_down.weight") else t for key, t in tensors.items()
    }


@pytest.mark.parametrize(
    ("change", "metadata", "sentence"),
    [
        (sdxl, {}, "was made for SDXL"),
        (wider, {}, "another kind of model"),
        (wider, {"ss_base_model_version": "pocket", "ss_sd_model_name": "pocket"}, "for the pocket model only"),
        (wider, {"ss_base_model_version": "sd_v1", "ss_sd_model_name": "anything"}, "anything"),
    ],
)
def test_a_lora_of_another_architecture_is_one_sentence_and_changes_nothing(
    change, metadata, sentence, saved, load_base, tmp_path
):
    path = rewritten(saved, tmp_path, change, metadata)
    _, base = load_base()
    attach(base, saved)
    before = outputs(base)
    with pytest.raises(StudioError, match=sentence):
        attach(base, path)
    assert distances(outputs(base), before) == [0.0, 0.0]


def test_values_that_are_not_finite_are_not_attached(saved, load_base, tmp_path):
    path = rewritten(saved, tmp_path, lambda tensors: {key: t * float("nan") for key, t in tensors.items()})
    with pytest.raises(StudioError, match="not finite"):
        attach(load_base()[1], path)


@pytest.mark.parametrize("size", [2, 8])
def test_lengths_that_fit_no_side_are_refused_before_anything_is_changed(size, load_base, tmp_path):
    """Of 16 inputs a header alone takes 2 and 8 for kernels; folded in half way, the base would not be as it was."""
    file = tiny_lora_file(tmp_path / "file.safetensors")
    tensors = load_file(file)
    module = next(key.removesuffix(".lora_down.weight") for key in tensors if key.endswith(".lora_down.weight"))
    save_file(tensors | {f"{module}.dora_scale": torch.ones(1, size)}, file)
    base = load_base()[1]
    before = outputs(base)
    with pytest.raises(StudioError, match="file.safetensors"):
        attach(base, file)
    assert distance(outputs(base), before) == 0


ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
ORIGINAL = "input_blocks.1.1.transformer_blocks.0.attn1"
TEXT = "text_model.encoder.layers.0.self_attn.q_proj"
KOHYA = {
    "q": f"lora_unet_{ATTENTION}.to_q".replace(".", "_"),
    "out": f"lora_unet_{ATTENTION}.to_out.0".replace(".", "_"),
    "text": f"lora_te_{TEXT}".replace(".", "_"),
}
SPELLINGS = {  # (module of q, module of out, module of the text encoder, what comes after it)
    "kohya": (KOHYA["q"], KOHYA["out"], KOHYA["text"], ".lora_{}.weight"),
    "peft": (f"unet.{ATTENTION}.to_q", f"unet.{ATTENTION}.to_out.0", f"text_encoder.{TEXT}", ".lora_{}.weight"),
    "train_text_to_image_lora": (f"unet.{ATTENTION}.to_q", f"unet.{ATTENTION}.to_out.0", "", ".lora.{}.weight"),
    "lora_linear_layer": (
        f"unet.{ATTENTION}.to_q",
        f"unet.{ATTENTION}.to_out.0",
        f"text_encoder.{TEXT}",
        ".lora_linear_layer.{}.weight",
    ),
    "attention processors": (f"{ATTENTION}.processor.to_q", f"{ATTENTION}.processor.to_out", "", "_lora.{}.weight"),
    "peft alone": (f"{ATTENTION}.to_q", f"{ATTENTION}.to_out.0", TEXT, ".lora_{}.weight"),
    "save_pretrained": (
        f"base_model.model.{ATTENTION}.to_q",
        f"base_model.model.{ATTENTION}.to_out.0",
        "",
        ".lora_{}.weight",
    ),
    "original blocks": (
        f"lora_unet_{ORIGINAL}.to_q".replace(".", "_"),
        f"lora_unet_{ORIGINAL}.to_out.0".replace(".", "_"),
        KOHYA["text"],
        ".lora_{}.weight",
    ),
    "ComfyUI": (
        f"diffusion_model.{ORIGINAL}.to_q",
        f"diffusion_model.{ORIGINAL}.to_out.0",
        f"text_encoders.clip_l.transformer.{TEXT}",
        ".lora_{}.weight",
    ),
    "OneTrainer": (f"unet.{ATTENTION}.to_q", f"unet.{ATTENTION}.to_out.0", f"clip_l.{TEXT}", ".lora_{}.weight"),
}


@pytest.fixture
def bare_base():
    """A tiny base without files."""
    text_encoder = tiny_text_encoder(tiny_clip_tokenizer())
    return SimpleNamespace(entry=SimpleNamespace(name="tiny"), unet=tiny_unet(), text_encoder=text_encoder)


def deltas(base):
    """What the attached adapters of peft add to the weights, by kohya name."""
    return {
        kohya_name(component, path): layer.get_delta_weight(layer.active_adapters[0]).detach().clone()
        for component, model in (("unet", base.unet), ("text_encoder", base.text_encoder))
        for path, layer in model.named_modules()
        if isinstance(layer, BaseTunerLayer) and layer.scaling
    }


def factors(size, rank, seed):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(rank, size, generator=random), torch.randn(size, rank, generator=random)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_has_the_strength_that_arithmetic_gives_it(spelling, bare_base, tmp_path):
    *modules, ending = SPELLINGS[spelling]
    down, up = ("A", "B") if spelling in ("peft", "peft alone", "save_pretrained") else ("down", "up")
    tensors, expected = {}, {}
    for (name, kohya), module, size, seed in zip(KOHYA.items(), modules, (16, 16, 32), range(3), strict=True):
        if not module:
            continue
        first, second = factors(size, 4, seed)
        tensors |= {f"{module}{ending.format(down)}": first, f"{module}{ending.format(up)}": second}
        expected[kohya] = 0.5 * second @ first
        if spelling in ("kohya", "OneTrainer", "original blocks") and name != "out":  # one module has no alpha
            tensors[f"{module}.alpha"] = torch.tensor(2.0)
            expected[kohya] *= 2 / 4
    save_file(tensors, tmp_path / "a.safetensors")
    attach(bare_base, tmp_path / "a.safetensors", 0.5)
    added = deltas(bare_base)
    detach(bare_base)
    assert added.keys() == expected.keys()
    for module, delta in expected.items():
        assert torch.allclose(added[module], delta, atol=1e-6)


def test_matrices_of_a_convolution_and_four_sides_of_a_linear_layer_are_reshaped(bare_base, tmp_path):
    conv, linear = "lora_unet_down_blocks_0_attentions_0_proj_in", KOHYA["q"]
    (first, second), (third, fourth) = factors(16, 2, 1), factors(16, 2, 2)
    tensors = {f"{conv}.lora_down.weight": first, f"{conv}.lora_up.weight": second}
    tensors |= {f"{linear}.lora_down.weight": third[..., None, None].clone()}
    tensors |= {f"{linear}.lora_up.weight": fourth[..., None, None].clone()}
    save_file(tensors, tmp_path / "a.safetensors")
    attach(bare_base, tmp_path / "a.safetensors")
    added = deltas(bare_base)
    detach(bare_base)
    assert torch.allclose(added[conv][:, :, 0, 0], second @ first, atol=1e-6)
    assert torch.allclose(added[linear], fourth @ third, atol=1e-6)


@pytest.mark.parametrize(
    ("spelling", "settings"),
    [
        ("kohya", None),
        ("peft", None),
        ("train_text_to_image_lora", None),
        ("peft", {"unet.r": 4, "unet.lora_alpha": 16.0}),
    ],
)
def test_diffusers_itself_computes_the_same(spelling, settings, bare_base, tmp_path):
    q, out, _, ending = SPELLINGS[spelling]
    down, up = ("A", "B") if spelling == "peft" else ("down", "up")
    tensors = {}
    for seed, module in enumerate((q, out)):
        first, second = factors(16, 4, seed)
        tensors |= {f"{module}{ending.format(down)}": first, f"{module}{ending.format(up)}": second}
    file = tmp_path / "a.safetensors"
    targets = {"unet.target_modules": [f"{ATTENTION}.to_q", f"{ATTENTION}.to_out.0"]}
    save_file(tensors, file, {"lora_adapter_metadata": json.dumps(settings | targets)} if settings else None)
    attach(bare_base, file)
    ours = deltas(bare_base)
    detach(bare_base)
    state, alphas, metadata = StableDiffusionLoraLoaderMixin.lora_state_dict(file, return_lora_metadata=True)
    StableDiffusionLoraLoaderMixin.load_lora_into_unet(state, alphas, bare_base.unet, "style", metadata=metadata)
    theirs = deltas(bare_base)
    detach(bare_base)
    assert ours.keys() == theirs.keys() == {KOHYA["q"], KOHYA["out"]}
    assert all(torch.allclose(ours[module], theirs[module], atol=1e-6) for module in ours)
