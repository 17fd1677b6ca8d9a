"""Loads a Stable Diffusion 1.x from one .safetensors file, the format of A1111 and Civitai, without the network.

The configurations of SD 1.5 are in `sd15/` beside this file. The tokenizer is that of the pocket model: CLIP's.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ksh_studio.errors import StudioError
from ksh_studio.models.files import check_safetensors
from ksh_studio.models.registry import POCKET

if TYPE_CHECKING:
    import torch
    from transformers import CLIPTextModel

CONFIGS = Path(__file__).resolve().parent / "sd15"
TEXT_PREFIXES = ("cond_stage_model.transformer.text_model.", "cond_stage_model.transformer.")
TEXT_PREFIX = "cond_stage_model.transformer."
VAE_PREFIX = "first_stage_model."
LORA_ENDINGS = (".lora_down.weight", ".lora_A.weight", ".lora.down.weight", ".hada_w1_a", ".lokr_w1", ".lokr_w1_a")
KEYS_AND_VALUES = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
LATENTS_IN = "model.diffusion_model.input_blocks.0.0.weight"


def load_single_file(path: Path, dtype: "torch.dtype", vae_dtype: "torch.dtype") -> dict[str, Any]:
    """Load the fields of `Base` that a file decides: tokenizer, text_encoder, vae, unet, prediction_type, weights.

    Raises StudioError when the file is no .safetensors file, no Stable Diffusion 1.x, or not all of one.
    """
    header = check_safetensors(path)
    _check_architecture(header, path)
    tokenizer = POCKET / "base" / "tokenizer"
    if not tokenizer.is_dir():
        raise StudioError("models.missing_asset", path=tokenizer)

    from diffusers import AutoencoderKL, UNet2DConditionModel
    from safetensors.torch import load_file
    from transformers import CLIPTokenizer

    tensors = load_file(path)
    local = {"config": str(CONFIGS), "local_files_only": True}
    return {
        "tokenizer": CLIPTokenizer.from_pretrained(tokenizer, local_files_only=True),
        "text_encoder": _text_encoder(tensors, path).to(dtype),
        "vae": AutoencoderKL.from_single_file(dict(tensors), subfolder="vae", torch_dtype=vae_dtype, **local),
        "unet": UNet2DConditionModel.from_single_file(dict(tensors), subfolder="unet", torch_dtype=dtype, **local),
        "prediction_type": prediction_type_of(header.get("__metadata__") or {}),
        "weights": path,
    }


def prediction_type_of(values: dict) -> Literal["epsilon", "v_prediction"]:
    """What the UNet predicts, according to a scheduler's configuration or the metadata of a single file."""
    prediction_type = str(values.get("prediction_type") or values.get("modelspec.prediction_type") or "epsilon")
    return "v_prediction" if prediction_type.startswith("v") else "epsilon"


def _check_architecture(header: dict, path: Path) -> None:
    attention = header.get(KEYS_AND_VALUES, {}).get("shape", [0, 0])
    latents = header.get(LATENTS_IN, {}).get("shape", [0, 0])
    if any(key.endswith(LORA_ENDINGS) for key in header):
        raise StudioError("models.is_a_lora", name=path.name)
    if attention[-1:] != [768] or latents[1:2] != [4]:
        raise StudioError("models.not_sd1_file", name=path.name)
    for start, sentence in ((VAE_PREFIX, "models.no_vae"), (TEXT_PREFIX, "models.no_text_encoder")):
        if not any(key.startswith(start) for key in header):
            raise StudioError(sentence, name=path.name)


def _text_encoder(tensors: "dict[str, torch.Tensor]", path: Path) -> "CLIPTextModel":
    """The text encoder. Both the file and the version of transformers may have the level `text_model.` or not."""
    from transformers import CLIPTextConfig, CLIPTextModel

    encoder = CLIPTextModel(CLIPTextConfig.from_pretrained(CONFIGS / "text_encoder"))
    prefix = next((p for p in TEXT_PREFIXES if f"{p}final_layer_norm.weight" in tensors), None)
    if prefix is None:
        raise StudioError("models.not_sd1_file", name=path.name)
    level = "text_model." if hasattr(encoder, "text_model") else ""
    weights = {level + name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    weights.pop(f"{level}embeddings.position_ids", None)  # a constant in old files
    encoder.load_state_dict(weights)
    return encoder
