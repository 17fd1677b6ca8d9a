"""What is trained, and how kohya's file format names it (no torch).

A name is the prefix and the module's path in diffusers or transformers, dots turned into underscores.
"""

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


def kohya_name(part: Part, path: str) -> str:
    """The name of the module at `path` in a kohya file; the path of a text encoder may lack `text_model.`."""
    if part == "unet":
        return UNET_PREFIX + path.replace(".", "_")
    # transformers 5.6 and later have no `text_model` level, every reader of LoRA files still expects it
    return TEXT_ENCODER_PREFIX + path.removeprefix("text_model.").replace(".", "_")


def module_of(key: str) -> str:
    """The kohya name of the module that a tensor of a LoRA file, kohya's or peft's spelling, belongs to."""
    name = key.removesuffix(".weight")
    for ending in (".lora_down", ".lora_up", ".lora_A", ".lora_B", ".lora_mid", ".alpha", ".dora_scale"):
        name = name.removesuffix(ending)
    for part in ("unet", "text_encoder"):
        if name.startswith(f"{part}."):
            return kohya_name(part, name.removeprefix(f"{part}."))
    for spelling in _TEXT_ENCODER_SPELLINGS:
        if name.startswith(spelling):
            return TEXT_ENCODER_PREFIX + name.removeprefix(spelling)
    return name
