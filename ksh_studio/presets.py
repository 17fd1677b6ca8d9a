"""Named sets of settings: the studio's own, and those of the scripts that it replaces."""

from typing import Any

ORIGINAL_PROMPT = (
    "drawn by KSH drawing style, an anime girl, blonde hair, green eyes, school uniform, smile, sunshine, outside, "
    "park, river, blue sky"
)
"""What the original drew while it trained (its `--validation_prompt`)."""

# The original's command: accelerate launch train_text_to_image_lora.py (diffusers) --resolution=512 --random_flip
# --train_batch_size=1 --num_train_epochs=20 --checkpointing_steps=4000 --learning_rate=1e-04 --lr_scheduler=cosine
# --lr_warmup_steps=0 --seed=5508 --validation_prompt=…, and that script's own defaults for the rest. Two of its options
# are not set here: the base model belongs to the project, and --report_to=wandb would send data out unasked.
TRAIN_PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"effort": "quick"},
    "balanced": {},
    "thorough": {"effort": "thorough"},
    "original": {
        "resolution": 512,
        "crop": "square",
        "random_flip": True,
        "train_batch_size": 1,
        "gradient_accumulation_steps": 1,
        "num_train_epochs": 20,
        "checkpointing_steps": 4000,
        "validation_prompts": (ORIGINAL_PROMPT,),
        "learning_rate": 1e-4,
        "lr_scheduler": "cosine",
        "lr_warmup_steps": 0,
        "train_text_encoder": False,
        "adapter": "lora",
        "rank": 4,
        "lora_alpha": 4.0,
        "target_modules": "attention",
        "snr_gamma": None,
        "noise_offset": 0.0,
        "caption_dropout": 0.0,
        "shuffle_tags": False,
        "clip_skip": 1,
        "optimizer": "adamw",
        "adam_beta1": 0.9,
        "adam_beta2": 0.999,
        "adam_weight_decay": 0.01,
        "max_grad_norm": 1.0,
        "ema_decay": 0.0,
        "validation_share": 0.0,
        "mixed_precision": "no",
        "seed": 5508,
    },
}

# The first version let the captioner write up to 2,000 tokens; 60 is more than a caption needs, and the page says so.
CAPTION_PRESETS: dict[str, dict[str, Any]] = {
    "recommended": {},
    "original": {
        "captioner": "blip2-opt-2.7b",
        "prompt": "A painting of",
        "do_sample": True,
        "num_beams": 1,
        "temperature": 0.8,
        "top_p": 0.9,
        "repetition_penalty": 1.2,
        "max_new_tokens": 60,
        "min_new_tokens": 0,
        "no_repeat_ngram_size": 0,
        "picture_shape": "squash",
        "cleaning": "none",
    },
    "original_later": {
        "captioner": "blip2-flan-t5-xl",
        "prompt": "Describe this image's appearance in a detailed and natural-sounding sentence.",
        "do_sample": True,
        "num_beams": 1,
        "temperature": 0.5,
        "top_p": 0.9,
        "repetition_penalty": 2.0,
        "max_new_tokens": 80,
        "min_new_tokens": 10,
        "no_repeat_ngram_size": 0,
        "picture_shape": "squash",
        "cleaning": "commas",
    },
}
