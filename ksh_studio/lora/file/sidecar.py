"""The files beside a LoRA file that A1111 and its forks read: `<stem>.json` with the trigger, `<stem>.png`, a picture.

Source: A1111 `extensions-builtin/Lora/ui_edit_user_metadata.py`. No torch.
"""

import base64
import io
import json
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from ksh_studio.disk import replacing, write_text
from ksh_studio.lora.file.adapter_types import AdapterType
from ksh_studio.lora.file.header import LoraHeader

PREFERRED_WEIGHT = 1.0
"""The strength that the studio trains a LoRA for."""
THUMBNAIL_SIDE = 256
"""Pixels."""
_SD_VERSIONS = {"sd_v1": "SD1", "sd_v2": "SD2"}
_LOADS_WHERE: dict[AdapterType, str] = {
    "lora": "Loads in A1111, Forge, ComfyUI, diffusers and KSH Studio.",
    "dora": "DoRA. Exact in KSH Studio and LyCORIS; ComfyUI and Forge come close; A1111 scales it along the wrong axis"
    " and diffusers leaves its scale out: use another kind there.",
    "loha": "LoHa. Loads in A1111, Forge, ComfyUI and KSH Studio; not in diffusers.",
    "full": "Full change of weights. Loads in Forge, ComfyUI and KSH Studio; not in diffusers.",
    "lokr": "LoKr. Loads in A1111, Forge, ComfyUI and KSH Studio; not in diffusers.",
}


def write_sidecar(header: LoraHeader, preview: Path | None) -> None:
    """Write `<stem>.json` beside a saved LoRA, and copy `preview` to `<stem>.png`; each file whole or not at all."""
    content = json.dumps(sidecar_content(header), ensure_ascii=False, indent=2)
    write_text(header.path.with_suffix(".json"), content)
    if preview is not None:
        with replacing(header.path.with_suffix(".png")) as temporary:
            shutil.copyfile(preview, temporary)


def sidecar_content(header: LoraHeader) -> dict[str, Any]:
    """What A1111 reads from `<stem>.json`, and notes for people."""
    metadata = header.metadata
    trained_on = f"Trained on {header.base}" if header.base else ""
    steps = f"{metadata['ss_steps']} steps" if metadata.get("ss_steps") else ""
    size = f"rank {header.rank}, alpha {header.alpha:g}" if header.alpha is not None else f"rank {header.rank}"
    notes = [", ".join(part for part in (trained_on, steps, size) if part) + ".", _LOADS_WHERE[header.adapter_type]]
    if header.only_base:
        notes.append(f"For the {header.only_base} model only.")
    return {
        "description": metadata.get("modelspec.description", "Trained by KSH Studio"),
        "sd version": _SD_VERSIONS.get(metadata.get("ss_base_model_version", ""), "Unknown"),
        "activation text": header.trigger,
        "preferred weight": PREFERRED_WEIGHT,
        "negative text": "",
        "notes": " ".join(notes),
    }


def thumbnail_url(picture: Path) -> str:
    """The PNG file as a small JPEG in a `data:` URL, which is what `modelspec.thumbnail` holds."""
    with Image.open(picture, formats=("PNG",)) as image:
        small = image.convert("RGB")
        small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    jpeg = io.BytesIO()
    small.save(jpeg, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode()
