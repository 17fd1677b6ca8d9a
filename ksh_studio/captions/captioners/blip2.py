"""Loads BLIP-2 (arXiv:2301.12597) from a folder or the hub, and captions batches of drawings with it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from PIL import Image, ImageOps

from ksh_studio.captions.cleaning import tidied
from ksh_studio.config import SettledCaptioning
from ksh_studio.models.device import pick_dtype
from ksh_studio.models.files import captioner_folder, weight_bytes
from ksh_studio.models.loading import SMALL_BYTES, quiet_libraries, readable_errors
from ksh_studio.models.registry import CaptionerEntry

if TYPE_CHECKING:
    from transformers import Blip2ForConditionalGeneration, Blip2Processor

ROOMY_GPU_BYTES = 10_000_000_000
"""On a GPU with less memory BLIP-2 is loaded in 8 bit, or partly into the CPU's memory."""
SQUASHED = (512, 512)
"""The size in pixels to which the last version of the original program resized every drawing."""


@dataclass(frozen=True)
class Blip2:
    """A loaded BLIP-2, whose tokenizer pads on the left and whose config has the image token."""

    model: "Blip2ForConditionalGeneration"
    processor: "Blip2Processor"
    entry: CaptionerEntry
    device: torch.device


def load_blip2(entry: CaptionerEntry, device: torch.device) -> Blip2:
    """Load BLIP-2 onto `device`; on a GPU with less than 10 GB in 8 bit, or with parts of it in the CPU's memory.

    Raises StudioError when the model is missing or damaged, is no BLIP-2, or has its weights only as pickles.
    """
    from transformers import AutoTokenizer, Blip2ForConditionalGeneration, Blip2Processor
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    with quiet_libraries(), readable_errors(entry.name):
        folder = captioner_folder(entry)
        model = Blip2ForConditionalGeneration.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, **_placement(folder, device)
        ).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, padding_side="left")
        pictures = BlipImageProcessorPil.from_pretrained(folder, local_files_only=True)  # the other needs torchvision
        processor = Blip2Processor(pictures, tokenizer, num_query_tokens=model.config.num_query_tokens)
        _teach_image_token(model, processor)
    model.requires_grad_(False)
    return Blip2(model, processor, entry, device)


def write_captions(captioner: Blip2, images: list[Image.Image], config: SettledCaptioning) -> list[str]:
    """One caption for each image, tidied as `config.cleaning` asks; all images in one batch.

    images: in RGB, of any shape. They are made square here; BLIP-2's processor then resizes them, usually to 224 × 224.
    The same images with the same seed give the same captions on the same machine.
    Raises torch.OutOfMemoryError or RuntimeError when the memory does not suffice.
    """
    squares = [_square(image, config.picture_shape) for image in images]
    prompts = [config.prompt] * len(images)
    inputs = captioner.processor(images=squares, text=prompts, padding=True, return_tensors="pt")
    inputs = inputs.to(captioner.model.device, captioner.model.dtype)
    sampling = {"temperature": config.temperature, "top_p": config.top_p} if config.do_sample else {}
    with torch.inference_mode(), torch.random.fork_rng():
        torch.manual_seed(config.seed)
        tokens = captioner.model.generate(
            **inputs,
            max_new_tokens=config.max_new_tokens,
            min_new_tokens=config.min_new_tokens,
            num_beams=config.num_beams,
            do_sample=config.do_sample,
            repetition_penalty=config.repetition_penalty,
            no_repeat_ngram_size=config.no_repeat_ngram_size,
            **sampling,
        )
    if captioner.model.config.use_decoder_only_language_model:
        tokens = tokens[:, inputs["input_ids"].shape[1] :]  # OPT repeats the prompt; T5 does not
    texts = captioner.processor.batch_decode(tokens, skip_special_tokens=True)
    return [tidied(text, config.prompt, config.cleaning) for text in texts]


def _square(image: Image.Image, shape: Literal["pad", "squash"]) -> Image.Image:
    """The whole image as a square: with white borders ("pad"), or resized to SQUASHED ("squash")."""
    if shape == "squash":
        return image.resize(SQUASHED)
    return ImageOps.pad(image, (max(image.size),) * 2, color="white")


def _placement(folder: Path, device: torch.device) -> dict[str, Any]:
    """The arguments of `from_pretrained` for the precision and the device."""
    if weight_bytes(folder) < SMALL_BYTES:
        return {"dtype": torch.float32, "device_map": str(device)}
    if device.type == "cuda" and torch.cuda.get_device_properties(device).total_memory < ROOMY_GPU_BYTES:
        from transformers import BitsAndBytesConfig
        from transformers.utils import is_bitsandbytes_available

        if is_bitsandbytes_available():
            return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True), "device_map": {"": device}}
        return {"dtype": torch.float16, "device_map": "auto"}
    return {"dtype": torch.float16 if device.type != "cpu" else pick_dtype(device), "device_map": str(device)}


def _teach_image_token(model: "Blip2ForConditionalGeneration", processor: "Blip2Processor") -> None:
    """Set the image token, which the config of older repositories (such as the pinned one) lacks.

    Their embeddings may have a row for it already; otherwise one is added.
    """
    token = processor.tokenizer.convert_tokens_to_ids("<image>")
    model.config.image_token_index = token
    if token >= model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(token + 1)
