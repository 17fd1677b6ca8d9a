"""BLIP-2 writes captions for a batch of drawings."""

from typing import Literal

import torch
from PIL import Image, ImageOps

from ksh_studio.captions.cleaning import tidied
from ksh_studio.config import CaptionConfig
from ksh_studio.models.loading import Captioner

SQUASHED = (512, 512)
"""Size in pixels to which the original's last version pressed every drawing."""


def describe(captioner: Captioner, images: list[Image.Image], config: CaptionConfig) -> list[str]:
    """What the captioner says of each image, tidied as `config.cleaning` asks; all in one batch.

    images: RGB of any shape; the captioner's own processor then resizes the squares made here (BLIP-2: to 224 × 224).
    config: resolved.
    The same images with the same seed give the same captions on the same machine.
    """
    squares = [_square(image, config.picture_shape) for image in images]
    prompts = [config.prompt or ""] * len(images)
    inputs = captioner.processor(images=squares, text=prompts, padding=True, return_tensors="pt")
    inputs = inputs.to(captioner.model.device, captioner.model.dtype)
    sampling = {"temperature": config.temperature, "top_p": config.top_p} if config.do_sample else {}
    with torch.inference_mode(), torch.random.fork_rng():
        torch.manual_seed(config.seed)
        tokens = captioner.model.generate(
            **inputs,
            max_new_tokens=config.max_new_tokens,
            min_new_tokens=min(config.min_new_tokens, config.max_new_tokens),
            num_beams=config.num_beams,
            do_sample=config.do_sample,
            repetition_penalty=config.repetition_penalty,
            no_repeat_ngram_size=config.no_repeat_ngram_size,
            **sampling,
        )
    if captioner.model.config.use_decoder_only_language_model:
        tokens = tokens[:, inputs["input_ids"].shape[1] :]  # OPT repeats the prompt; T5 does not
    texts = captioner.processor.batch_decode(tokens, skip_special_tokens=True)
    return [tidied(text, config.prompt or "", config.cleaning) for text in texts]


def _square(image: Image.Image, shape: Literal["pad", "squash"]) -> Image.Image:
    """The whole image as a square: with white borders, or pressed into the original's size."""
    if shape == "squash":
        return image.resize(SQUASHED)
    return ImageOps.pad(image, (max(image.size),) * 2, color="white")
