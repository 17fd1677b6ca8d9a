"""DoRA, LoHa and LoKr are folded into the base's weights and taken out again."""

import pytest
import torch

from ksh_studio.lora.on_base.attach import attach, detach, set_strength
from ksh_studio.lora.save import save_lora
from tests.lora.bases import distance, outputs
from tests.tiny import tiny_lora_file

OTHERS = ["dora", "loha", "lokr"]


@pytest.mark.parametrize("adapter_type", OTHERS)
def test_strength_and_taking_it_off(adapter_type, load_base, random_adapter, metadata, tmp_path):
    base, weights = random_adapter(adapter_type)
    header = save_lora(tmp_path / "one.safetensors", base, weights, metadata)
    _, base_with_lora = load_base()
    bare, before = outputs(base_with_lora), {name: p.clone() for name, p in base_with_lora.unet.named_parameters()}
    attach(base_with_lora, header.path)
    full = {name: p.clone() for name, p in base_with_lora.unet.named_parameters()}
    set_strength(base_with_lora, 0.5)
    changed = [name for name in before if not torch.equal(before[name], full[name])]
    assert len(changed) == sum("lora_unet" in module for module in header.sizes)
    for name, parameter in base_with_lora.unet.named_parameters():
        assert torch.allclose(parameter, (before[name] + full[name]) / 2, atol=1e-6)
    set_strength(base_with_lora, 0.0)
    assert distance(outputs(base_with_lora), bare) == 0.0
    set_strength(base_with_lora, 1.0, text_encoder=0.0)
    assert distance(outputs(base_with_lora)[1:], bare[1:]) == 0.0 < distance(outputs(base_with_lora)[:1], bare[:1])
    detach(base_with_lora)
    assert distance(outputs(base_with_lora), bare) == 0.0


def test_several_kinds_at_once_add_up_and_come_off_one_by_one(load_base, random_adapter, metadata, tmp_path):
    files = {}
    for adapter_type in ("loha", "lokr"):
        base, weights = random_adapter(adapter_type, text_encoder=False)
        files[adapter_type] = save_lora(tmp_path / f"{adapter_type}.safetensors", base, weights, metadata).path
    files["lora"] = tiny_lora_file(tmp_path / "lora.safetensors")
    _, base_with_lora = load_base()
    bare = outputs(base_with_lora)
    alone = {}
    for adapter_type, path in files.items():
        attach(base_with_lora, path)
        alone[adapter_type] = outputs(base_with_lora)
        detach(base_with_lora)
    for number, path in enumerate(files.values()):
        attach(base_with_lora, path, adapter=f"style-{number}")
    together = outputs(base_with_lora)
    assert all(distance(together, other) > 1e-3 for other in alone.values())
    detach(base_with_lora, "style-0")
    detach(base_with_lora, "style-2")
    assert distance(outputs(base_with_lora), alone["lokr"]) < 1e-5
    detach(base_with_lora)
    assert distance(outputs(base_with_lora), bare) == 0.0


@pytest.mark.parametrize("adapter_type", OTHERS)
def test_diffusers_itself_loads_none_of_them(adapter_type, load_base, random_adapter, metadata, tmp_path):
    """What we say on the page and in the card; when this fails, a newer diffusers may do the folding for us."""
    base, weights = random_adapter(adapter_type, text_encoder=False)
    path = save_lora(tmp_path / "file.safetensors", base, weights, metadata).path
    live, bare = outputs(base), outputs(load_base()[1])
    pipe, other = load_base()
    if adapter_type == "dora":
        pipe.load_lora_weights(path)  # warns, and leaves the lengths out
        assert distance(outputs(other), live) > 0.1 * distance(live, bare)
    else:
        with pytest.raises(ValueError, match="not been correctly renamed"):
            pipe.load_lora_weights(path)
