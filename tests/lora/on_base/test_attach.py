import pytest
import torch
from safetensors.torch import load_file, save_file

from ksh_studio.errors import StudioError
from ksh_studio.lora.on_base.attach import attach, check_fits, detach, set_strength
from ksh_studio.lora.save import save_lora


@pytest.fixture
def saved(trained, metadata, tmp_path):
    base, weights = trained()
    save_lora(tmp_path / "ksh.safetensors", base, weights, metadata)
    return tmp_path / "ksh.safetensors"


def picture(base):
    generator = torch.Generator().manual_seed(3)
    sample, context = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 77, 32, generator=generator)
    with torch.no_grad():
        words = base.text_encoder(torch.arange(77)[None]).last_hidden_state
        return base.unet(sample, torch.tensor([300]), context).sample, words


def distance(first, second):
    return [(a - b).abs().max().item() for a, b in zip(first, second, strict=True)]


def test_strength_is_set_without_reloading_and_taking_it_off_leaves_no_trace(saved, fresh):
    _, base = fresh()
    bare = picture(base)
    attach(base, saved, strength=1.0)
    full = picture(base)
    set_strength(base, 0.0)
    assert distance(picture(base), bare) == [0.0, 0.0]
    set_strength(base, 0.5)
    half = picture(base)
    assert all(0 < d for d in distance(half, bare)) and distance(half, bare) < distance(full, bare)
    set_strength(base, 1.0)
    assert distance(picture(base), full) == [0.0, 0.0]
    detach(base)
    assert distance(picture(base), bare) == [0.0, 0.0]


def test_another_file_takes_the_place_of_the_first(saved, fresh, trained, metadata, tmp_path):
    other_base, weights = trained(text_encoder=False)
    save_lora(tmp_path / "unet-only.safetensors", other_base, weights, metadata)
    _, base = fresh()
    bare = picture(base)
    attach(base, saved)
    attach(base, tmp_path / "unet-only.safetensors")
    unet, words = distance(picture(base), bare)
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
    change, metadata, sentence, saved, fresh, tmp_path
):
    path = rewritten(saved, tmp_path, change, metadata)
    _, base = fresh()
    attach(base, saved)
    before = picture(base)
    with pytest.raises(StudioError, match=sentence):
        attach(base, path)
    assert distance(picture(base), before) == [0.0, 0.0]


def test_values_that_are_not_finite_are_not_attached(saved, fresh, tmp_path):
    path = rewritten(saved, tmp_path, lambda tensors: {key: t * float("nan") for key, t in tensors.items()})
    with pytest.raises(StudioError, match="not finite"):
        attach(fresh()[1], path)


def test_pefts_own_spelling_fits_too(trained, fresh, tmp_path):
    _, weights = trained(text_encoder=False)
    tensors = {f"unet.{key}": tensor.contiguous() for key, tensor in weights.unet.items()}
    save_file(tensors, tmp_path / "peft.safetensors")
    assert check_fits(tmp_path / "peft.safetensors", fresh()[1]).modules == 48
