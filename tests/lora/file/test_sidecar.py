"""What lies beside a LoRA file."""

import json

from PIL import Image

from ksh_studio.lora.save import save_lora


def test_sidecar_and_preview_lie_beside_it(random_lora, metadata, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "picture.png")
    base, weights = random_lora()
    save_lora(tmp_path / "ksh.safetensors", base, weights, metadata, preview=tmp_path / "picture.png")
    sidecar = json.loads((tmp_path / "ksh.json").read_text(encoding="utf-8"))
    assert sidecar["activation text"] == "drawn by KSH drawing style" and sidecar["sd version"] == "Unknown"
    assert Image.open(tmp_path / "ksh.png").size == (8, 8)
