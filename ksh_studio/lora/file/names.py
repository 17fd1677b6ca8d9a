"""What is trained, and how kohya's file format names it (no torch).

A name is the prefix and the module's path in diffusers or transformers, dots turned into underscores.
"""

from collections.abc import Iterable
from typing import Literal

Part = Literal["unet", "text_encoder"]
Targets = Literal["attention", "transformer", "all"]

UNET_PREFIX = "lora_unet_"
TEXT_ENCODER_PREFIX = "lora_te_text_model_"
_TEXT_ENCODER_SPELLINGS = (TEXT_ENCODER_PREFIX, "lora_te1_text_model_")

_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
_TRANSFORMER = (*_ATTENTION, "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out")
_CONVOLUTIONS = ("conv1", "conv2", "conv_shortcut", "time_emb_proj", "downsamplers.0.conv", "upsamplers.0.conv")
UNET_TARGETS: dict[Targets, tuple[str, ...]] = {
    "attention": _ATTENTION,
    "transformer": _TRANSFORMER,
    "all": (*_TRANSFORMER, *_CONVOLUTIONS),  # LyCORIS calls this set LoCon
}
TEXT_ENCODER_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")

_PEFT_ROLES = {"lora_A": "lora_down", "lora_B": "lora_up", "lora_magnitude_vector": "dora_scale"}
_LORA_ROLES = ("lora_down", "lora_up", "lora_mid", "alpha", "dora_scale")
_LYCORIS_ROLES = (
    *(f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")),
    *(f"lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")),
)
ROLES = frozenset((*_PEFT_ROLES, *_LORA_ROLES, *_LYCORIS_ROLES))
"""Endings of the tensors' names, each after the module's name and a dot; lora's own matrices add `.weight`."""


def kohya_name(part: Part, path: str) -> str:
    """The name of the module at `path` in a kohya file; the path of a text encoder may lack `text_model.`."""
    if part == "unet":
        return UNET_PREFIX + path.replace(".", "_")
    # transformers 5.6 and later have no `text_model` level, every reader of LoRA files still expects it
    return TEXT_ENCODER_PREFIX + path.removeprefix("text_model.").replace(".", "_")


def module_of(key: str) -> str:
    """The kohya name of the module that a tensor of a LoRA file, kohya's or peft's spelling, belongs to."""
    name = _split(key)[0]
    for part in ("unet", "text_encoder"):
        if name.startswith(f"{part}."):
            return kohya_name(part, name.removeprefix(f"{part}."))
    for spelling in _TEXT_ENCODER_SPELLINGS:
        if name.startswith(spelling):
            return TEXT_ENCODER_PREFIX + name.removeprefix(spelling)
    return name


def role_of(key: str) -> str:
    """What the tensor is in its module, as kohya and LyCORIS call it: "lora_down", "hada_w1_a", "alpha"."""
    role = _split(key)[1]
    return _PEFT_ROLES.get(role, role)


def targets_of(modules: Iterable[str]) -> Targets:
    """The smallest set of targets that has all these modules of the UNet, by their kohya names."""
    own = [name for name in modules if name.startswith(UNET_PREFIX)]
    for targets in ("attention", "transformer"):
        endings = tuple(f"_{name.replace('.', '_')}" for name in UNET_TARGETS[targets])
        if all(name.endswith(endings) for name in own):
            return targets
    return "all"


def _split(key: str) -> tuple[str, str]:
    """Module and role of a tensor's key; a key that is none of a LoRA's is its own module."""
    module, _, role = key.removesuffix(".weight").rpartition(".")
    return (module, role) if role in ROLES else (key.removesuffix(".weight"), "")
