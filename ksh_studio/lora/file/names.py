"""Which modules a LoRA can change, and how kohya's file format names them and their tensors (no torch).

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

_KOHYA_NAMES_OF_PEFT = {"lora_A": "lora_down", "lora_B": "lora_up", "lora_magnitude_vector": "dora_scale"}
_LORA_TENSORS = ("lora_down", "lora_up", "lora_mid", "alpha", "dora_scale")
_LYCORIS_TENSORS = (
    *(f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")),
    *(f"lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")),
)
TENSOR_NAMES = frozenset((*_KOHYA_NAMES_OF_PEFT, *_LORA_TENSORS, *_LYCORIS_TENSORS))
"""How the keys of a LoRA file end, after the module's name and a dot; lora's two matrices add `.weight`."""


def kohya_name(component: Component, path: str) -> str:
    """The name in a kohya file of the module at `path`; the path in a text encoder may lack `text_model.`."""
    if component == "unet":
        return UNET_PREFIX + path.replace(".", "_")
    # transformers 5.6 and later have no `text_model` level, every reader of LoRA files still expects it
    return TEXT_ENCODER_PREFIX + path.removeprefix("text_model.").replace(".", "_")


def module_name(key: str) -> str:
    """The kohya name of the module that a tensor belongs to, from its key in kohya's or peft's spelling."""
    name = _split(key)[0]
    components: tuple[Component, ...] = ("unet", "text_encoder")
    for component in components:
        if name.startswith(f"{component}."):
            return kohya_name(component, name.removeprefix(f"{component}."))
    for spelling in _TEXT_ENCODER_SPELLINGS:
        if name.startswith(spelling):
            return TEXT_ENCODER_PREFIX + name.removeprefix(spelling)
    return name


def tensor_name(key: str) -> str:
    """The tensor's name within its module, as kohya and LyCORIS call it: "lora_down", "hada_w1_a", "alpha"."""
    name = _split(key)[1]
    return _KOHYA_NAMES_OF_PEFT.get(name, name)


def smallest_targets(modules: Iterable[str]) -> Targets:
    """The smallest set of targets that has all modules of the UNet among `modules`, which are kohya names."""
    unet_modules = [name for name in modules if name.startswith(UNET_PREFIX)]
    for targets in ("attention", "transformer"):
        endings = tuple(f"_{name.replace('.', '_')}" for name in UNET_TARGETS[targets])
        if all(name.endswith(endings) for name in unet_modules):
            return targets
    return "all"


def _split(key: str) -> tuple[str, str]:
    """The module and the tensor's name in a key; a key that no LoRA file has is taken as a module without a tensor."""
    module, _, name = key.removesuffix(".weight").rpartition(".")
    return (module, name) if name in TENSOR_NAMES else (key.removesuffix(".weight"), "")
