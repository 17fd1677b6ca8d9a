"""A LoRA file on a base: its strength, taking it off, and what does not fit."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from ksh_studio.errors import StudioError
from ksh_studio.lora.on_base.attach import attach, check_fits, detach, set_strength
from ksh_studio.lora.save import save_lora
from tests.lora.bases import distance, distances, outputs
from tests.tiny import tiny_lora_file


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


def test_pefts_own_spelling_fits_too(random_lora, load_base, tmp_path):
    _, weights = random_lora(text_encoder=False)
    tensors = {f"unet.{key}": tensor.contiguous() for key, tensor in weights.unet.items()}
    save_file(tensors, tmp_path / "peft.safetensors")
    assert check_fits(tmp_path / "peft.safetensors", load_base()[1]).module_count == 48


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


def test_a_part_of_another_method_is_named(load_base, tmp_path):
    file = tiny_lora_file(tmp_path / "file.safetensors")
    tensors = load_file(file) | {"lora_unet_conv_in.diff": torch.zeros(16, 4, 3, 3)}
    save_file(tensors, file)
    with pytest.raises(StudioError, match="lora_unet_conv_in.diff"):
        attach(load_base()[1], file)
