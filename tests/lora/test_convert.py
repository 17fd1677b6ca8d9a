"""Converting changes the names of the tensors and nothing else."""

import pytest
from safetensors.torch import load_file

from ksh_studio.errors import StudioError
from ksh_studio.lora.convert import to_diffusers
from ksh_studio.lora.on_base.attach import attach
from ksh_studio.lora.save import save_lora
from tests.lora.bases import distance, outputs


def test_diffusers_own_format_draws_the_same(two_loras, load_base, tmp_path):
    path = to_diffusers(two_loras[0], tmp_path / "diffusers.safetensors")
    assert all(key.startswith(("unet.", "text_encoder.")) for key in load_file(path))
    results = []
    for file in (two_loras[0], path):
        pipe, base = load_base()
        pipe.load_lora_weights(file)
        results.append(outputs(base))
    assert distance(*results) == 0.0
    assert distance(results[0], outputs(load_base()[1])) > 0.05
    _, base = load_base()
    attach(base, path)  # the studio itself reads the alphas that are in the metadata only
    assert distance(outputs(base), results[0]) < 1e-5
    with pytest.raises(StudioError, match="already"):
        to_diffusers(path, tmp_path / "twice.safetensors")


@pytest.mark.parametrize("adapter_type", ["dora", "loha", "lokr"])
def test_a_type_that_diffusers_does_not_load_is_refused(adapter_type, random_adapter, metadata, tmp_path):
    base, weights = random_adapter(adapter_type, text_encoder=False)
    other = save_lora(tmp_path / "other.safetensors", base, weights, metadata).path
    with pytest.raises(StudioError, match=f"is a {adapter_type}"):
        to_diffusers(other, tmp_path / "no.safetensors")
    assert not (tmp_path / "no.safetensors").exists()


def test_nothing_that_is_there_already_is_written_over(two_loras, tmp_path):
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(StudioError, match="already a file"):
        to_diffusers(two_loras[0], two_loras[0])
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
