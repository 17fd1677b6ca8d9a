"""What lies beside a LoRA file for A1111 and its kin: `<stem>.json` with the trigger, `<stem>.png` with a picture.

A1111 `extensions-builtin/Lora/ui_edit_user_metadata.py`. No torch.
"""

import base64
import io
import json
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from ksh_studio.disk import replacing, write_text
from ksh_studio.lora.file.header import LoraInfo
from ksh_studio.lora.file.kinds import Kind

WEIGHT = 1.0
"""The strength that a LoRA of ours is trained for."""
THUMBNAIL = 256
_VERSIONS = {"sd_v1": "SD1", "sd_v2": "SD2"}
_LOADS: dict[Kind, str] = {
    "lora": "Loads in A1111, Forge, ComfyUI, diffusers and KSH Studio.",
    "dora": "DoRA. Exact in KSH Studio and LyCORIS; ComfyUI and Forge come close; A1111 scales it along the wrong axis"
    " and diffusers leaves its scale out: use another kind there.",
    "loha": "LoHa. Loads in A1111, Forge, ComfyUI and KSH Studio; not in diffusers.",
    "lokr": "LoKr. Loads in A1111, Forge, ComfyUI and KSH Studio; not in diffusers.",
}


def write_beside(info: LoraInfo, preview: Path | None) -> None:
    """Write the card of a saved LoRA, and copy its picture where there is one; each whole or not at all."""
    content = json.dumps(card(info), ensure_ascii=False, indent=2)
    write_text(info.path.with_suffix(".json"), content)
    if preview is not None:
        with replacing(info.path.with_suffix(".png")) as beside:
            shutil.copyfile(preview, beside)


def card(info: LoraInfo) -> dict[str, Any]:
    """What A1111 reads from `<stem>.json`."""
    data = info.metadata
    made = f"Trained on {info.base}" if info.base else ""
    steps = f"{data['ss_steps']} steps" if data.get("ss_steps") else ""
    size = f"rank {info.rank}, alpha {info.alpha:g}" if info.alpha is not None else f"rank {info.rank}"
    notes = [", ".join(part for part in (made, steps, size) if part) + ".", _LOADS[info.kind]]
    if info.only_for:
        notes.append(f"For the {info.only_for} model only.")
    return {
        "description": data.get("modelspec.description", "Trained by KSH Studio"),
        "sd version": _VERSIONS.get(data.get("ss_base_model_version", ""), "Unknown"),
        "activation text": info.trigger,
        "preferred weight": WEIGHT,
        "negative text": "",
        "notes": " ".join(notes),
    }


def thumbnail(picture: Path) -> str:
    """The picture as small JPEG in a `data:` address, as `modelspec.thumbnail` holds it."""
    with Image.open(picture, formats=("PNG",)) as image:
        small = image.convert("RGB")
        small.thumbnail((THUMBNAIL, THUMBNAIL))
    data = io.BytesIO()
    small.save(data, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()
