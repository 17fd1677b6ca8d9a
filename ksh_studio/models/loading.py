"""Loads a base model onto a device, from a folder, a repository of the hub or a single file."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from ksh_studio.config import Attention
from ksh_studio.disk import read_json
from ksh_studio.errors import StudioError
from ksh_studio.models.device import choose_attention_backend, pick_dtype
from ksh_studio.models.files import BASE_PARTS, HALF_PRECISION, base_folder, weight_bytes, weights_variant
from ksh_studio.models.memory import is_out_of_memory
from ksh_studio.models.registry import SD_LATENT_RGB, BaseEntry
from ksh_studio.models.shipped import cached_sha256
from ksh_studio.models.single_file import load_single_file, prediction_type_of

if TYPE_CHECKING:  # diffusers' model modules may only be imported after choose_attention_backend
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

logger = logging.getLogger(__name__)

Precision = Literal["auto", "no", "bf16", "fp16"]
SMALL_BYTES = 400_000_000
"""A model with fewer bytes of weights is computed in fp32: half precision would save nothing worth having."""


@dataclass(frozen=True)
class Base:
    """A loaded base model, on its device, in evaluation mode, with frozen parameters."""

    entry: BaseEntry
    """The registry's entry, with the native size and latent matrix that fit the loaded files."""
    tokenizer: "CLIPTokenizer"
    text_encoder: "CLIPTextModel"
    vae: "AutoencoderKL"
    """In fp32 when the rest is in fp16, since autoencoders of anime models overflow in fp16."""
    unet: "UNet2DConditionModel"
    prediction_type: Literal["epsilon", "v_prediction"]
    device: torch.device
    dtype: torch.dtype
    weights: Path
    """The file whose hash is the "Model hash" of a recipe: the single file, or the UNet's weights."""

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of `weights` as 64 hex digits, computed when it is first needed."""
        return cached_sha256(self.weights)


def load_base(
    entry: BaseEntry, device: torch.device, dtype: torch.dtype | Precision = "auto", attention: Attention = "sdpa"
) -> Base:
    """Load the base model onto `device`.

    dtype: a data type, a precision, or "auto" for the best one on this device.
    attention: "sdpa" (PyTorch's own) or "xformers", which is used only where it works.
    Raises StudioError when the model is missing or damaged, is no Stable Diffusion 1.x or 2.x, or exists only as a
    pickle, and when the memory does not suffice.
    """
    if isinstance(dtype, str):
        dtype = torch.float32 if dtype == "auto" and _is_small(entry, device) else pick_dtype(device, dtype)
    backend = choose_attention_backend(device, attention)
    with quiet_libraries(), readable_errors(entry.name):
        base = _assemble(entry, _parts(entry, dtype), device, dtype)
    if backend == "xformers":
        base.unet.enable_xformers_memory_efficient_attention()
    return base


def _parts(entry: BaseEntry, dtype: torch.dtype) -> dict[str, Any]:
    vae_dtype = torch.float32 if dtype == torch.float16 else dtype
    if entry.source_type == "file":
        return load_single_file(Path(entry.source), dtype, vae_dtype)
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    folder = base_folder(entry)
    variants = {part: weights_variant(folder / part) for part in BASE_PARTS}
    local = {"use_safetensors": True, "local_files_only": True}
    unet_files = folder.glob("unet/*.safetensors")
    used = [path for path in unet_files if path.name.endswith(HALF_PRECISION) == (variants["unet"] is not None)]
    return {
        "tokenizer": CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True),
        "text_encoder": CLIPTextModel.from_pretrained(
            folder / "text_encoder", dtype=dtype, variant=variants["text_encoder"], **local
        ),
        "vae": AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=vae_dtype, variant=variants["vae"], **local),
        "unet": UNet2DConditionModel.from_pretrained(
            folder / "unet", torch_dtype=dtype, variant=variants["unet"], **local
        ),
        "prediction_type": prediction_type_of(read_json(folder / "scheduler" / "scheduler_config.json")),
        "weights": sorted(used)[0],
    }


def _assemble(entry: BaseEntry, parts: dict[str, Any], device: torch.device, dtype: torch.dtype) -> Base:
    unet, vae = parts["unet"], parts["vae"]
    if unet.config.in_channels != vae.config.latent_channels or unet.config.addition_embed_type:
        raise StudioError("models.not_a_base", name=entry.name)  # inpainting, SDXL and others
    for name in ("unet", "vae", "text_encoder"):
        parts[name].to(device).eval().requires_grad_(False)
    if device.type == "cuda":
        unet.to(memory_format=torch.channels_last)
        vae.to(memory_format=torch.channels_last)
    is_bare_id = entry.source_type == "hub" and entry.name == entry.source
    if is_bare_id and isinstance(unet.config.sample_size, int):
        entry = replace(entry, native_size=unet.config.sample_size * 2 ** (len(vae.config.block_out_channels) - 1))
    if entry.latent_rgb == SD_LATENT_RGB and vae.config.latent_channels != len(SD_LATENT_RGB):
        entry = replace(entry, latent_rgb=())
    return Base(entry=entry, device=device, dtype=dtype, **parts)


def _is_small(entry: BaseEntry, device: torch.device) -> bool:
    return entry.source_type == "folder" and device.type == "cpu" and weight_bytes(Path(entry.source)) < SMALL_BYTES


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep the progress bars and load reports of libraries off standard error while the block runs."""
    import diffusers.utils.logging as diffusers_logging
    import transformers.utils.logging as transformers_logging
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    levels = [(library, library.get_verbosity()) for library in (diffusers_logging, transformers_logging)]
    for library, _ in levels:
        library.disable_progress_bar()
        library.set_verbosity_error()
    try:
        yield
    finally:
        for library, level in levels:
            library.set_verbosity(level)


@contextmanager
def readable_errors(name: str) -> Iterator[None]:
    """Turn the errors that the libraries raise for a damaged or unsuitable model into a StudioError."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    broken = (OSError, ValueError, KeyError, AttributeError, RuntimeError, TypeError, SafetensorError)
    try:
        yield
    except (*broken, StrictDataclassError) as error:
        if is_out_of_memory(error):
            raise StudioError("models.no_memory", name=name) from error
        logger.warning("%s cannot be loaded: %s: %s", name, type(error).__name__, error)
        raise StudioError("models.unreadable", name=name) from error
