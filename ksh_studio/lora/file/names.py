"""Which modules a LoRA can change, and how kohya's file format names them (no torch).

The kohya name of a module is a prefix and the module's path in diffusers or transformers, with underscores for dots.
"""

from collections.abc import Iterable
from typing import Literal

Component = Literal["unet", "text_encoder"]
"""The models of a pipeline that a LoRA can change, as diffusers names them."""
Targets = Literal["attention", "transformer", "all"]
"""The names of the sets of UNet modules in `UNET_TARGETS`."""

UNET_PREFIX = "lora_unet_"
TEXT_ENCODER_PREFIX = "lora_te_text_model_"

_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
_TRANSFORMER = (*_ATTENTION, "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out")
_CONVOLUTIONS = ("conv1", "conv2", "conv_shortcut", "time_emb_proj", "downsamplers.0.conv", "upsamplers.0.conv")
UNET_TARGETS: dict[Targets, tuple[str, ...]] = {
    "attention": _ATTENTION,
    "transformer": _TRANSFORMER,
    "all": (*_TRANSFORMER, *_CONVOLUTIONS),  # LyCORIS calls this set LoCon
}
TEXT_ENCODER_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")


def kohya_name(component: Component, path: str) -> str:
    """The name in a kohya file of the module at `path`; the path in a text encoder may lack `text_model.`."""
    if component == "unet":
        return UNET_PREFIX + path.replace(".", "_")
    # transformers 5.6 and later have no `text_model` level, every reader of LoRA files still expects it
    return TEXT_ENCODER_PREFIX + path.removeprefix("text_model.").replace(".", "_")


def smallest_targets(modules: Iterable[str]) -> Targets:
    """The smallest set of targets that has all modules of the UNet among `modules`, which are kohya names."""
    unet_modules = [name for name in modules if name.startswith(UNET_PREFIX)]
    for targets in ("attention", "transformer"):
        endings = tuple(f"_{name.replace('.', '_')}" for name in UNET_TARGETS[targets])
        if all(name.endswith(endings) for name in unet_modules):
            return targets
    return "all"
