"""What the shapes of one module's tensors say."""

import pytest
import torch
from safetensors.torch import save_file

from ksh_studio.errors import StudioError
from ksh_studio.lora.file.header import read_header


@pytest.mark.parametrize("role", ["hada_w1_b", "hada_w2_a", "lokr_w2_b", "lokr_w1"])
def test_a_module_that_lacks_a_factor_or_does_not_fit_together_is_damaged(role, tmp_path):
    whole = {
        "hada_w1_b": {"hada_w1_a": (8, 2), "hada_w1_b": (2, 8), "hada_w2_a": (8, 2), "hada_w2_b": (2, 8)},
        "lokr_w2_b": {"lokr_w1": (2, 2), "lokr_w2_a": (4, 2), "lokr_w2_b": (2, 4)},
    }
    shapes = whole["hada_w1_b" if role.startswith("hada") else "lokr_w2_b"]
    file = tmp_path / "file.safetensors"

    def write(values):
        save_file({f"lora_unet_x.{name}": torch.zeros(shape) for name, shape in values.items()}, file)

    write(shapes)
    assert read_header(file).sizes["lora_unet_x"].rows == 8
    write({name: shape for name, shape in shapes.items() if name != role})
    with pytest.raises(StudioError, match="damaged|holds no LoRA"):
        read_header(file)
    write(shapes | {role: (3, 9, 9)} if role != "lokr_w1" else shapes | {role: (2,)})
    with pytest.raises(StudioError, match="damaged"):
        read_header(file)
