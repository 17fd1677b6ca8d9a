"""The spellings that programs use for the keys of a LoRA file, and what each key means in kohya's spelling (no torch).

A key is a prefix for the model, the module's path and the tensor's name. These are understood:

    lora_unet_<path with _>.lora_down.weight          kohya-ss/sd-scripts, LyCORIS
    unet.<path>.lora_A.weight                         peft by way of diffusers
    unet.<path>.lora.down.weight                      diffusers' train_text_to_image_lora.py
    unet.<path>.processor.to_q_lora.down.weight       diffusers of 2023, attention processors
    text_encoder.<path>.lora_linear_layer.up.weight   diffusers, text encoder
    <path>.lora_A.weight                              peft, without the model's name
    base_model.model.<path>.lora_A.weight             peft's `save_pretrained`
    diffusion_model.<path>.lora_down.weight           ComfyUI, with the original names of the blocks
    lycoris_<path with _>.lokr_w1                     SimpleTuner
"""

import re

from ksh_studio.lora.file.names import UNET_PREFIX, Component, kohya_name
from ksh_studio.lora.file.original_blocks import diffusers_path

_KOHYA_NAMES_OF_PEFT = {"lora_A": "lora_down", "lora_B": "lora_up", "lora_magnitude_vector": "dora_scale"}
_LORA_TENSORS = ("lora_down", "lora_up", "lora_mid", "alpha", "dora_scale")
_LYCORIS_TENSORS = (
    *(f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")),
    *(f"lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")),
)
TENSOR_NAMES = frozenset((*_KOHYA_NAMES_OF_PEFT, *_LORA_TENSORS, *_LYCORIS_TENSORS, "diff"))
"""How the keys of a LoRA file end, after the module's name and a dot; lora's two matrices add `.weight`."""

_DIFFUSERS_FACTOR = re.compile(r"(.+?)(\.lora|\.lora_linear_layer|_lora)\.(down|up)")
_UNET_PREFIXES = ("unet.", "lora_unet.", "model.diffusion_model.", "diffusion_model.", UNET_PREFIX, "lycoris_")
_TEXT_ENCODER_PREFIXES = ("text_encoder.", "text_encoders.clip_l.transformer.", "clip_l.", "lora_te1_", "lora_te_")
_UNET_BEGINNING = re.compile(
    r"(down_blocks|mid_block|up_blocks|conv_in|conv_out|time_embedding|input_blocks|middle_block|output_blocks)\b"
)
_TEXT_ENCODER_BEGINNING = re.compile(r"(text_model\.)?encoder\.layers\b")
_OLD_TEXT_ATTENTION = re.compile(r"\.to_(q|k|v|out)$")


def module_name(key: str) -> str:
    """The kohya name of the module that a tensor belongs to; the whole key when no LoRA file has such a key."""
    module, tensor = _split(key)
    component, path = _component_and_path(module)
    if not tensor or component is None:
        return module
    if component == "unet":
        return UNET_PREFIX + diffusers_path(path.replace(".", "_"))
    return kohya_name(component, path.removeprefix("text_model_"))


def tensor_name(key: str) -> str:
    """The tensor's name within its module, as kohya and LyCORIS call it: "lora_down", "hada_w1_a", "alpha".

    Empty when no LoRA file has such a key.
    """
    return _split(key)[1]


def component_of(key: str) -> Component | None:
    """The model that a tensor of a LoRA belongs to; None when the key names neither of the two."""
    return _component_and_path(_split(key)[0])[0]


def module_path(key: str) -> str:
    """The path of the module within its model, as the key spells it."""
    return _component_and_path(_split(key)[0])[1]


def _split(key: str) -> tuple[str, str]:
    """The module and the tensor's kohya name in a key; a key that no LoRA file has is a module without a tensor."""
    text = key.removesuffix(".weight").removesuffix(".default")
    if match := _DIFFUSERS_FACTOR.fullmatch(text):
        module, tensor = match[1], f"lora_{match[3]}"
        # the processors of 2023 had one matrix for the output, which is the first layer of `to_out` today
        if match[2] == "_lora" and module.endswith(".to_out"):
            module += ".0"
        return module, tensor
    module, _, name = text.rpartition(".")
    return (module, _KOHYA_NAMES_OF_PEFT.get(name, name)) if module and name in TENSOR_NAMES else (key, "")


def _component_and_path(module: str) -> tuple[Component | None, str]:
    """The model that a module belongs to, None when it is neither, and the module's path in it."""
    module = module.removeprefix("base_model.model.").replace(".processor.", ".")
    for prefix in _UNET_PREFIXES:
        if module.startswith(prefix):
            return "unet", module.removeprefix(prefix)
    for prefix in _TEXT_ENCODER_PREFIXES:
        if module.startswith(prefix):
            return "text_encoder", _text_encoder_path(module.removeprefix(prefix))
    if _UNET_BEGINNING.match(module):
        return "unet", module
    if _TEXT_ENCODER_BEGINNING.match(module):
        return "text_encoder", _text_encoder_path(module)
    return None, module


def _text_encoder_path(path: str) -> str:
    """The path with today's names for the parts of attention, which diffusers called as in the UNet for a while."""
    return _OLD_TEXT_ATTENTION.sub(lambda match: f".{match[1]}_proj", path.removesuffix(".0"))
