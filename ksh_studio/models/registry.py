"""The base models and captioners that the studio knows, where they come from, and the constants in which they differ.

No torch, since the page imports this. The pocket model is an entry like any other: no code asks for it by name.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ksh_studio import ASSETS
from ksh_studio.errors import StudioError
from ksh_studio.paths import typed_path

POCKET = ASSETS / "pocket"
POCKET_NAMES = {"name": "pocket", "label": "Pocket", "source_type": "folder", "trial": True}
PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle")
HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")

# Latents [4] x this = RGB in about -1..1, for SD 1.x and 2.x autoencoders (least squares fit, as ComfyUI and InvokeAI
# publish it).
SD_LATENT_RGB = (
    (0.3512, 0.2297, 0.3227),
    (0.3250, 0.4974, 0.2350),
    (-0.2829, 0.1762, 0.2721),
    (-0.2120, -0.2616, -0.7177),
)
SourceType = Literal["hub", "folder", "file"]
Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class BaseEntry:
    """A base model: a Stable Diffusion 1.x or 2.x, of whatever size."""

    name: str
    """The name in the settings: one of the registry, a hub id, a folder or a .safetensors file."""
    label: str
    source: str
    """Hub id, or absolute path."""
    source_type: SourceType
    revision: str | None = None
    """Commit of the hub's repository; None for the newest."""
    native_size: int = 512
    """Side of a square picture in pixels."""
    bucket_step: int = 64
    """Sides of training pictures are multiples of this."""
    min_size: int = 64
    max_size: int = 2048
    clip_skip: int = 1
    """The layer of the text encoder that is read, counted from the end: 1 is the last."""
    latent_rgb: Rows = SD_LATENT_RGB
    """A row of (R, G, B) for each latent channel; one more row, if there is one, is an offset."""
    num_inference_steps: int = 28
    guidance_scale: float = 7.0
    training: Mapping[str, Any] = field(default_factory=dict)
    """The settings of TrainConfig that have another default for this model."""
    trial: bool = False
    """Whether it is so small that it only shows how the studio works."""


@dataclass(frozen=True)
class CaptionerEntry:
    """A BLIP-2 captioner."""

    name: str
    label: str
    source: str
    source_type: SourceType
    prompt: str = ""
    """The text that it continues, or the question that it answers, when the settings have no prompt."""
    revision: str | None = None
    generation: Mapping[str, Any] = field(default_factory=dict)
    """The settings of CaptionConfig that have another default for this captioner."""
    trial: bool = False
    """Whether it is so small that it only shows how the studio works."""


ANYTHING = BaseEntry(
    name="anything-v5",
    label="Anything V5",
    source="stablediffusionapi/anything-v5",
    source_type="hub",
    min_size=256,
    clip_skip=2,
    training={"resolution": 512, "train_batch_size": 4},
)
BLIP2_OPT = CaptionerEntry(
    name="blip2-opt-2.7b",
    label="BLIP-2 (OPT 2.7B)",
    source="Salesforce/blip2-opt-2.7b",
    source_type="hub",
    prompt="an anime drawing of",
    revision="51572668da0eb669e01a189dc22abe6088589a24",
)
BLIP2_T5 = CaptionerEntry(
    name="blip2-flan-t5-xl",
    label="BLIP-2 (Flan-T5 XL)",
    source="Salesforce/blip2-flan-t5-xl",
    source_type="hub",
    prompt="Describe this image's appearance in a detailed and natural-sounding sentence.",
    revision="0eb0d3b46c14c1f8c7680bca2693baafdb90bb28",
)


def base_models() -> list[BaseEntry]:
    """The base models of the registry, for a menu."""
    return [ANYTHING, _pocket_base()]


def captioners() -> list[CaptionerEntry]:
    """The captioners of the registry, for a menu."""
    return [BLIP2_OPT, BLIP2_T5, _pocket_captioner()]


def registered_names() -> frozenset[str]:
    """The names of all models of the registry."""
    return frozenset((*(entry.name for entry in base_models()), *(entry.name for entry in captioners())))


def has_name(entry: BaseEntry | CaptionerEntry) -> bool:
    """Whether it is known by a name of the registry or the hub, and not by a path on this machine."""
    return entry.source_type == "hub" or entry.name in registered_names()


def default_base(device_type: str) -> str:
    """The name of the default base model for a device type: "cuda", "mps" or "cpu"."""
    return ANYTHING.name if device_type in ("cuda", "mps") else "pocket"


def default_captioner(device_type: str) -> str:
    """The name of the default captioner for a device type: "cuda", "mps" or "cpu"."""
    return BLIP2_OPT.name if device_type == "cuda" else "pocket"


def base_entry(name: str) -> BaseEntry:
    """The base model of this name, which may be a name of the registry, a hub id, a folder or a .safetensors file.

    Raises StudioError when the folder or file does not exist, the file is a pickle, or the name is none of these.
    Whether the hub has a model of this id is not checked here, but when it is loaded.
    """
    named = {entry.name: entry for entry in base_models()}
    if name in named:
        return named[name]
    source_type, source = _locate(name, files_allowed=True)
    label = source if source_type == "hub" else Path(source).stem
    size = _native_size(source_type, source)
    return BaseEntry(
        name=_lasting(name, source_type, source), label=label, source=source, source_type=source_type, native_size=size
    )


def captioner_entry(name: str) -> CaptionerEntry:
    """The captioner of this name. Raises StudioError as `base_entry` does, and for a single file."""
    named = {entry.name: entry for entry in captioners()}
    if name in named:
        return named[name]
    source_type, source = _locate(name, files_allowed=False)
    label = source if source_type == "hub" else Path(source).name
    return CaptionerEntry(name=_lasting(name, source_type, source), label=label, source=source, source_type=source_type)


def _lasting(name: str, source_type: SourceType, source: str) -> str:
    """The name as a job keeps it: a path must mean the same in another process, which works in another folder."""
    return name if source_type == "hub" or Path(name).is_absolute() else source


def _locate(name: str, files_allowed: bool) -> tuple[SourceType, str]:
    if name.lower().endswith(PICKLES):
        raise StudioError("models.pickle", name=name[:300])
    try:
        path = typed_path(name)
        is_folder, is_file = path.is_dir(), path.is_file()
    except (
        OSError,
        ValueError,
        RuntimeError,
    ) as error:  # too long, with a NUL, or of an unknown user
        raise StudioError("models.not_there", name=name[:300]) from error
    if is_folder and name:
        return "folder", str(path.resolve())
    if is_file:
        if not files_allowed:
            raise StudioError("models.captioner_is_a_file", name=name)
        if path.suffix.lower() != ".safetensors":
            raise StudioError("models.not_safetensors", name=name)
        return "file", str(path.resolve())
    if HUB_ID.fullmatch(name) and not name.lower().endswith(".safetensors"):
        return "hub", name
    raise StudioError("models.not_there", name=name[:300])


def _native_size(source_type: SourceType, source: str) -> int:
    """The side in pixels that the model was trained for, from its configuration when it is a folder; else 512."""
    if source_type != "folder":
        return BaseEntry.native_size
    try:
        config = json.loads((Path(source) / "unet" / "config.json").read_text(encoding="utf-8"))
        return int(config["sample_size"]) * 8
    except (OSError, ValueError, KeyError, TypeError):
        return BaseEntry.native_size  # a damaged folder is reported when it is loaded


def _pocket_constants(part: str) -> dict[str, Any]:
    """The constants of the model in `assets/pocket/<part>`; empty when that is missing, which loading reports."""
    try:
        return json.loads((POCKET / "registry.json").read_text(encoding="utf-8"))[part]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError) as error:
        raise StudioError("models.damaged_asset", path=POCKET / "registry.json") from error


def _pocket_base() -> BaseEntry:
    constants = {"native_size": 128, "bucket_step": 16, "max_size": 512} | _pocket_constants("base")
    known = {name: value for name, value in constants.items() if name in BaseEntry.__dataclass_fields__}
    if "latent_rgb" in known:
        known["latent_rgb"] = tuple(tuple(row) for row in known["latent_rgb"])
    fixed = {
        "name": "pocket",
        "label": "Pocket",
        "source": str(POCKET / "base"),
        "source_type": "folder",
        "trial": True,
    }
    return BaseEntry(**(known | fixed))


def _pocket_captioner() -> CaptionerEntry:
    constants = _pocket_constants("captioner")
    known = {name: value for name, value in constants.items() if name in CaptionerEntry.__dataclass_fields__}
    fixed = {
        "name": "pocket",
        "label": "Pocket",
        "source": str(POCKET / "captioner"),
        "source_type": "folder",
        "trial": True,
    }
    return CaptionerEntry(**(known | fixed))
