"""What a trained LoRA says of itself, as kohya's readers expect it: every value a string, no paths."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from ksh_studio.config import SettledTraining, TrainConfig, Trigger
from ksh_studio.lora.file.metadata import base_family, modelspec, safe_stem
from ksh_studio.marks import metadata_keys
from ksh_studio.training.data.items import Item
from ksh_studio.training.plan.settle import per_step
from ksh_studio.training.step.optimizers import schedule_of

if TYPE_CHECKING:
    from ksh_studio.models.loading import Base


MOST_TAGS = 200
_OPTIMIZERS = {
    "adamw": "torch.optim.AdamW",
    "adamw8bit": "bitsandbytes.optim.AdamW8bit",
    "prodigy": "prodigyopt.Prodigy",
    "schedule_free": "schedulefree.AdamWScheduleFree",
}


@dataclass(frozen=True)
class TrainingRecord:
    """What was trained on, when."""

    name: str
    trigger: str
    items: list[Item]
    started: float
    """Unix seconds."""
    finished: float


def training_metadata(config: SettledTraining, base: "Base", record: TrainingRecord, step: int) -> dict[str, str]:
    """All `ss_` and `modelspec.` keys of a LoRA saved after `step` steps; hashes are added when it is written."""
    unet = base.unet.config
    base_name = safe_stem(PurePath(base.entry.name.replace("\\", "/")).name.removesuffix(".safetensors"))
    metadata = base_family(unet.cross_attention_dim, tuple(unet.block_out_channels), base_name)
    metadata |= modelspec(record.name, record.trigger, config.resolution, base.prediction_type)
    values = _as_set(config) | _run(config, step) | _data(config, record, step)
    values |= {
        "sd_model_name": base_name,
        "sd_model_hash": _short_hash(base.weights),
        "new_sd_model_hash": base.sha256,
        "vae_name": None,
        "mixed_precision": _precision(base),
    }
    metadata |= {f"ss_{name}": str(value) for name, value in values.items()}
    return metadata | {"modelspec.encoder_layer": str(config.clip_skip)}


def _as_set(config: SettledTraining) -> dict[str, object]:
    """The settings that stand there as they are, by the marks in `config.py`."""
    return {key: getattr(config, name) for name, key in metadata_keys(TrainConfig).items()}


def _run(config: SettledTraining, step: int) -> dict[str, object]:
    """How it was trained, as far as it is more than a setting."""
    return {
        "network_module": "networks.lora" if config.adapter == "lora" else "lycoris.kohya",
        "network_alpha": float(config.lora_alpha),
        "network_args": json.dumps(_network_args(config)),
        "resolution": f"({config.resolution}, {config.resolution})",
        "max_token_length": None,
        "training_comment": "KSH Studio",
        "unet_lr": config.learning_rate,
        "text_encoder_lr": _text_rate(config),
        "lr_scheduler": schedule_of(config),
        "optimizer": f"{_OPTIMIZERS[config.optimizer]}(betas=({config.adam_beta1}, {config.adam_beta2}))",
        "steps": step,
        "total_batch_size": per_step(config),
        "noise_offset": config.noise_offset or None,
        "keep_tokens": config.keep_tags if config.shuffle_tags else 0,
    }


def _text_rate(config: SettledTraining) -> float | None:
    """Prodigy has one rate for everything."""
    if not config.train_text_encoder:
        return None
    return config.learning_rate if config.optimizer == "prodigy" else config.text_encoder_lr


def _network_args(config: SettledTraining) -> dict[str, str]:
    """What the kind of LoRA and its reach are called by the program that kohya's scripts load for it."""
    convolutions = {"conv_dim": str(config.rank), "conv_alpha": str(config.lora_alpha)}
    arguments = convolutions if config.target_modules == "all" else {}
    if config.adapter != "lora":
        arguments = {"algo": "locon" if config.adapter == "dora" else config.adapter} | arguments
    return arguments | ({"dora_wd": "True", "wd_on_output": "True"} if config.adapter == "dora" else {})


def _data(config: SettledTraining, record: TrainingRecord, step: int) -> dict[str, object]:
    """What it was trained on."""
    count = len(record.items)
    seen = per_step(config)
    sizes = sorted({item.crop.size for item in record.items})
    buckets = {
        str(n): {"resolution": list(size), "count": sum(item.crop.size == size for item in record.items)}
        for n, size in enumerate(sizes)
    }
    return {
        "epoch": step * seen // count,
        "num_train_images": count,
        "num_batches_per_epoch": -(-count // seen),
        "enable_bucket": config.crop == "bucket",
        "min_bucket_reso": min(min(size) for size in sizes),
        "max_bucket_reso": max(max(size) for size in sizes),
        "cache_latents": True,
        "training_started_at": record.started,
        "training_finished_at": record.finished,
        "tag_frequency": json.dumps({record.name: _tags(record)}, ensure_ascii=False),
        "dataset_dirs": json.dumps({record.name: {"n_repeats": 1, "img_count": count}}),
        "bucket_info": json.dumps({"buckets": buckets, "mean_img_ar_error": 0.0}),
    }


def _tags(record: TrainingRecord) -> dict[str, int]:
    """The trigger, then what stands between the commas of the captions, by how many drawings have it."""
    trigger = Trigger(text=record.trigger)
    counts = Counter(piece for item in record.items for piece in dict.fromkeys(_pieces(trigger.strip(item.caption))))
    trigger_count = {record.trigger: len(record.items)} if record.trigger else {}
    return trigger_count | dict(counts.most_common(MOST_TAGS))


def _pieces(caption: str) -> list[str]:
    return [piece for part in caption.split(",") if (piece := part.strip())]


def _short_hash(weights: Path) -> str:
    """A1111's old model hash: 8 hex digits of the SHA-256 of 64 KiB from offset 1 MiB."""
    with weights.open("rb") as file:
        file.seek(0x100000)
        return hashlib.sha256(file.read(0x10000)).hexdigest()[:8]


def _precision(base: "Base") -> str:
    return {"torch.bfloat16": "bf16", "torch.float16": "fp16"}.get(str(base.dtype), "no")
