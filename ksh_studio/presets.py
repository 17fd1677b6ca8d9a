"""Named sets of settings: the studio's own, and those of the scripts that it replaces."""

from typing import Any

# The original's command: train_text_to_image_lora.py --resolution=512 --random_flip --train_batch_size=1
# --num_train_epochs=20 --checkpointing_steps=500 --learning_rate=1e-04 --lr_scheduler=cosine --lr_warmup_steps=0
# --seed=42, with that script's own defaults for the rest (rank 4, alpha = rank, attention only, no SNR weighting).
TRAIN_PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"effort": "quick"},
    "balanced": {},
    "thorough": {"effort": "thorough"},
    "original": {
        "resolution": None,
        "crop": "square",
        "random_flip": True,
        "train_batch_size": 1,
        "num_train_epochs": 20,
        "checkpointing_steps": 500,
        "learning_rate": 1e-4,
        "lr_scheduler": "cosine",
        "lr_warmup_steps": 0,
        "rank": 4,
        "lora_alpha": 4.0,
        "target_modules": "attention",
        "snr_gamma": None,
        "caption_dropout": 0.0,
        "adam_beta2": 0.999,
        "ema_decay": 0.0,
        "validation_share": 0.0,
        "seed": 42,
    },
}

CAPTION_PRESETS: dict[str, dict[str, Any]] = {
    "recommended": {},
    "original": {
        "prompt": "A painting of",
        "do_sample": True,
        "num_beams": 1,
        "temperature": 0.8,
        "top_p": 0.9,
        "repetition_penalty": 1.2,
        "max_new_tokens": 60,
        "min_new_tokens": 0,
        "no_repeat_ngram_size": 0,
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
    },
}
