"""A file that does not hold what was trained is not kept."""

import pytest
from safetensors.torch import load_file

from ksh_studio.errors import StudioError
from ksh_studio.lora import proof
from ksh_studio.lora.save import save_lora

OTHERS = ["dora", "loha", "lokr"]


def test_a_file_that_does_not_come_back_is_not_kept(random_adapter, metadata, tmp_path, monkeypatch):
    for adapter_type, role in (("dora", "dora_scale"), ("loha", "hada_w2_b"), ("lokr", "lokr_w2")):
        base, weights = random_adapter(adapter_type, text_encoder=False)
        real = load_file

        def torn(path, real=real, role=role):
            tensors = real(path)
            key = next(key for key in sorted(tensors) if key.endswith(role))
            return tensors | {key: tensors[key] * 1.1}

        monkeypatch.setattr(proof.safetensors.torch, "load_file", torn)
        with pytest.raises(StudioError, match="did not come back the same"):
            save_lora(tmp_path / f"{adapter_type}.safetensors", base, weights, metadata)
        assert list(tmp_path.glob("*")) == []
        monkeypatch.undo()
