"""The metadata inside a LoRA file, as kohya's scripts, A1111, ComfyUI and the model sites read them.

Every value is a string; no value holds a path. Hashes: kohya-ss/sd-scripts `library/train_util.py`,
`precalculate_safetensors_hashes` (0.10.1).
"""

import hashlib
from datetime import UTC, datetime

import safetensors.torch
from torch import Tensor

from ksh_studio import __version__
from ksh_studio.paths import is_device_name
from ksh_studio.romanized import ascii_name

MOST_CHARACTERS = 64


def safe_stem(name: str) -> str:
    """`name` in the characters that every program accepts in a LoRA's name, Hangul in Latin letters; never empty.

    Two names that differ by more than punctuation stay two. "none" is never returned: A1111 writes it where there is
    no LoRA; nor is a name that Windows keeps for itself.
    """
    stem = ascii_name(name, MOST_CHARACTERS, instead="lora")
    if stem.lower() == "none":
        return "lora"
    return f"{stem}-1" if is_device_name(stem) else stem


def base_family(cross_attention_dim: int, widths: tuple[int, ...], name: str) -> dict[str, str]:
    """The keys that say which base models the file fits.

    cross_attention_dim and widths are those of the base's UNet. Only a base with the shape of SD 1.x or 2.x is called
    that; any other goes by its own name, so that A1111 does not offer the file for a model that it cannot fit.
    """
    is_sd_shape = tuple(widths) == (320, 640, 1280, 1280)
    if is_sd_shape and cross_attention_dim == 768:
        version, architecture = "sd_v1", "stable-diffusion-v1/lora"
    elif is_sd_shape and cross_attention_dim == 1024:
        version, architecture = "sd_v2", "stable-diffusion-v2-512/lora"
    else:
        version = safe_stem(name)
        architecture = f"{version}/lora"
    return {
        "ss_base_model_version": version,
        "ss_v2": str(version == "sd_v2"),
        "modelspec.architecture": architecture,
    }


def modelspec(title: str, trigger: str, resolution: int, prediction_type: str) -> dict[str, str]:
    """The `modelspec.*` keys (SAI model spec 1.0.1) except the architecture, and `trained_words`.

    resolution: pixels a side that it was trained at. prediction_type: as diffusers names it.
    """
    return {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.implementation": "diffusers",
        "modelspec.implementation_version": f"KSH Studio {__version__}",
        "modelspec.title": title,
        "modelspec.description": f"Trained by KSH Studio. Trigger: {trigger}" if trigger else "Trained by KSH Studio.",
        "modelspec.date": datetime.now(UTC).isoformat(timespec="seconds"),
        "modelspec.resolution": f"{resolution}x{resolution}",
        "modelspec.trigger_phrase": trigger,
        "modelspec.tags": "style",
        "modelspec.usage_hint": f"Put this into the prompt: {trigger}" if trigger else "",
        "modelspec.prediction_type": "v" if prediction_type == "v_prediction" else "epsilon",
        "modelspec.timestep_range": "0,1000",
        "trained_words": trigger,
    }


def with_hashes(tensors: dict[str, Tensor], metadata: dict[str, str]) -> dict[str, str]:
    """The metadata with the three hashes that readers know; they cover the tensors and the `ss_` keys only."""
    ss_only = {key: value for key, value in metadata.items() if key.startswith("ss_")}
    data = safetensors.torch.save(tensors, ss_only)
    header = int.from_bytes(data[:8], "little")
    digest = hashlib.sha256(data[8 + header :]).hexdigest()
    return metadata | {
        "modelspec.hash_sha256": f"0x{digest}",
        "sshs_model_hash": digest,
        "sshs_legacy_hash": hashlib.sha256(data[0x100000:0x110000]).hexdigest()[:8],
    }
