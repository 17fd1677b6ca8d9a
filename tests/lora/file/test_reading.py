"""The tensors of a LoRA file in kohya's form, whatever program wrote it."""

import json

import pytest
import torch
from safetensors.torch import save_file

from ksh_studio.errors import StudioError
from ksh_studio.lora.file.header import read_header
from ksh_studio.lora.file.reading import read_modules

MODULE = "lora_unet_mid_block_attentions_0_proj_in"
DOWN, UP = torch.randn(2, 8, generator=torch.Generator().manual_seed(1)), torch.full((8, 2), 0.5)


def read(folder, tensors, metadata=None, name="a.safetensors"):
    save_file(tensors, folder / name, metadata)
    return read_modules(read_header(folder / name))


def pair(alpha=None, dtype=torch.float16):
    tensors = {f"{MODULE}.lora_down.weight": DOWN.to(dtype), f"{MODULE}.lora_up.weight": UP.to(dtype)}
    return tensors if alpha is None else tensors | {f"{MODULE}.alpha": alpha}


@pytest.mark.parametrize(
    "alpha",
    [
        *(torch.tensor(2, dtype=dtype) for dtype in (torch.int64, torch.int32, torch.uint8)),
        *(torch.tensor(2.0, dtype=dtype) for dtype in (torch.float64, torch.float32, torch.bfloat16)),
        torch.tensor([2.0]),
        torch.tensor(2.0).to(torch.float8_e4m3fn),
    ],
)
def test_an_alpha_can_have_any_number_type(alpha, tmp_path):
    read_alpha = read(tmp_path, pair(alpha))[MODULE]["alpha"]
    assert (read_alpha.dtype, read_alpha.shape, read_alpha.item()) == (torch.float32, (), 2.0)


@pytest.mark.parametrize(
    "dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.float16, torch.bfloat16, torch.float64]
)
def test_weights_of_every_floating_type_keep_their_values(dtype, tmp_path):
    tensors = read(tmp_path, pair(dtype=dtype))[MODULE]
    for name, value in (("lora_down", DOWN), ("lora_up", UP)):
        assert torch.equal(tensors[name].double(), value.to(dtype).double())
        assert (tensors[name] + 1).dtype in (torch.float16, torch.bfloat16, torch.float32)


def test_weights_of_whole_numbers_and_weights_that_need_a_scale_are_refused(tmp_path):
    with pytest.raises(StudioError, match="I8"):
        read(tmp_path, {name: value.to(torch.int8) for name, value in pair().items()})
    with pytest.raises(StudioError, match="scale_weight"):
        read(tmp_path, pair(dtype=torch.float8_e4m3fn) | {f"{MODULE}.lora_down.scale_weight": torch.tensor(3.0)})


@pytest.mark.parametrize(("alpha", "sentence"), [(1e30, "alpha 1e"), (float("inf"), "not finite"), (-3e4, "alpha -3")])
def test_an_alpha_out_of_all_bounds_is_refused(alpha, sentence, tmp_path):
    with pytest.raises(StudioError, match=sentence):
        read(tmp_path, pair(torch.tensor(alpha)))


def test_an_alpha_of_two_numbers_is_damaged(tmp_path):
    with pytest.raises(StudioError, match="damaged"):
        read(tmp_path, pair(torch.ones(2)))


def test_the_alpha_in_diffusers_metadata_is_the_modules(tmp_path):
    path = "unet.mid_block.attentions.0.proj_in"
    tensors = {f"{path}.lora_A.weight": DOWN, f"{path}.lora_B.weight": UP}
    settings = {"lora_adapter_metadata": json.dumps({"unet.r": 2, "unet.lora_alpha": 16})}
    assert read(tmp_path, tensors, settings)[MODULE]["alpha"].item() == 16
    assert "alpha" not in read(tmp_path, tensors)[MODULE]


@pytest.mark.parametrize(
    "foreign",
    [
        {"bundle_emb.mystyle.clip_l": torch.ones(2, 8)},
        {"bundle_emb.수채화.string_to_param.*": torch.ones(2, 8)},
        {"lora_unet_mid_block_resnets_0_norm1.w_norm": torch.ones(8), "x.b_norm": torch.ones(8)},
        {"counts": torch.ones(3, dtype=torch.int64), "flags": torch.ones(1, dtype=torch.bool)},
        {"lora_unet_mid_block_resnets_0_conv1.oft_blocks": torch.ones(2, 2, 2), "lora_unet_x.alpha": torch.ones(())},
        {"video": torch.ones(1, 1, 1, 1, 1)},
    ],
)
def test_what_is_no_part_of_the_lora_is_left_out_and_named(foreign, tmp_path):
    save_file(pair() | foreign, tmp_path / "a.safetensors")
    header = read_header(tmp_path / "a.safetensors")
    assert set(header.left_out) == set(foreign)
    assert read_modules(header).keys() == {MODULE}
