"""Fills in what the artist left open: by the base model, by the number of drawings, by arithmetic (no torch).

Values: the table of LoRA settings for styles that the community's presets agree on, interpolated. They are habits, not
experiments; what was measured for a base model stands in its registry entry and comes first.
"""

import math
from typing import Any

from ksh_studio.config import SettledTraining, TrainConfig
from ksh_studio.errors import StudioError, validated
from ksh_studio.marks import by_base
from ksh_studio.models.choice import base_model_of
from ksh_studio.models.registry import BaseEntry, base_entry
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.project.catalogue.counting import require_catalogue
from ksh_studio.project.workspace import Project
from ksh_studio.training.data.holdout import held_out_count
from ksh_studio.training.plan.from_lora import taken_over

_STEPS = ((20, 1000), (50, 2000), (200, 3500), (500, 4500), (1000, 6000), (5000, 12_000))
"""(drawings, steps at batch 4)."""
_EFFORTS = {"quick": 0.4, "balanced": 1.0, "thorough": 2.0}
"""Times the usual number of steps."""


def settled(config: TrainConfig, project: Project, device_type: str) -> SettledTraining:
    """The settings as `job.json` keeps them, so that a resumed job is the job that was begun.

    Called once, when a training is planned. `device_type` is "cuda", "mps" or "cpu"; it decides the base model where
    neither the settings nor the project name one. Raises StudioError as `resolve` and `require_catalogue` do.
    """
    entry = base_entry(base_model_of(project, device_type, config.base_model))
    config = taken_over(config, project.workspace)
    require_catalogue(project)
    with Catalogue(project) as catalogue:
        return resolve(config, entry, len(catalogue.drawings()))


def resolve(config: TrainConfig, entry: BaseEntry, drawings: int) -> SettledTraining:
    """The settings with every open one filled: the artist's, else the base model's, else by the number of drawings.

    Raises StudioError when there is no drawing, the size does not fit the base model, the epochs make more steps than a
    training may have, or the learning rate would still be rising at the last step.
    """
    if drawings < 1:
        raise StudioError("train.no_drawings")
    defaults = _by_drawings(entry, drawings) | dict(entry.training)
    if config.optimizer == "prodigy":  # it finds the learning rate itself and multiplies it with this
        defaults["learning_rate"] = 1.0
    values = dict(config)
    values |= {name: defaults[name] for name in by_base(TrainConfig) if values[name] in (None, "", "auto")}
    if config.mixed_precision == "auto":  # stays so unless the entry knows better: loading decides by size and device
        values["mixed_precision"] = defaults.get("mixed_precision", "auto")
    if config.lora_alpha is None:
        alpha = entry.training.get("lora_alpha") if values["rank"] == entry.training.get("rank") else None
        values["lora_alpha"] = float(alpha or values["rank"] / 2)
    _check_size(values["resolution"], entry)
    values |= _amounts(config, values, entry, drawings)
    if config.lr_warmup_steps and config.lr_warmup_steps > values["max_train_steps"]:
        raise StudioError("train.warmup", warmup=config.lr_warmup_steps, steps=values["max_train_steps"])
    return validated(SettledTraining, values)


def per_step(config: SettledTraining) -> int:
    """Drawings seen in one step, on all devices."""
    return config.train_batch_size * config.gradient_accumulation_steps * config.num_processes


def _by_drawings(entry: BaseEntry, drawings: int) -> dict[str, Any]:
    return {
        "base_model": entry.name,
        "resolution": entry.native_size,
        "train_batch_size": 4,
        "target_modules": "transformer",
        "rank": 16 if drawings < 50 else 32,
        "learning_rate": 3e-4 if drawings < 50 else 2e-4 if drawings <= 500 else 1e-4,
        "caption_dropout": 0.0 if drawings < 30 else 0.05 if drawings <= 100 else 0.1,
        "clip_skip": entry.clip_skip,
        "validation_share": 0.0 if drawings < 20 else 0.1,
    }


def _amounts(config: TrainConfig, values: dict[str, Any], entry: BaseEntry, drawings: int) -> dict[str, int]:
    """Steps from the epochs, the base model or the drawings, then what is a share of the steps; all that were open.

    `values` are the settings that are filled by now.
    """
    seen = values["train_batch_size"] * config.gradient_accumulation_steps * config.num_processes
    trained = drawings - held_out_count(drawings, values["validation_share"])
    steps, pace = config.max_train_steps, 1.0
    if steps is None and config.num_train_epochs is not None:
        steps = config.num_train_epochs * math.ceil(trained / seen)
    if steps is None:
        usual = entry.training.get("max_train_steps") or _table(drawings) * 4 / seen
        steps = max(100, round(usual * _EFFORTS[config.effort]))
        pace = min(1.0, _EFFORTS[config.effort])  # a quick training is looked at as often as a balanced one
    tenth = max(1, round(steps / 10))
    intervals = {
        name: max(1, round(pace * entry.training[name])) if name in entry.training else tenth
        for name in ("checkpointing_steps", "validation_steps")
    }
    amounts = {
        "max_train_steps": steps,
        "num_train_epochs": max(1, min(10_000, round(steps * seen / trained))),
        **intervals,
        "lr_warmup_steps": 0 if config.lr_scheduler == "constant" else round(steps / 20),
    }
    return {name: amount for name, amount in amounts.items() if values[name] is None}


def _table(drawings: int) -> float:
    """Steps at batch 4 for this many drawings, straight between the table's points."""
    if drawings <= _STEPS[0][0]:
        return _STEPS[0][1]
    for (low, few), (high, many) in zip(_STEPS, _STEPS[1:], strict=False):
        if drawings <= high:
            return few + (many - few) * (drawings - low) / (high - low)
    return _STEPS[-1][1]


def _check_size(size: int, entry: BaseEntry) -> None:
    step = entry.bucket_step
    if not entry.min_size <= size <= entry.max_size:
        raise StudioError("train.size", size=size, smallest=entry.min_size, largest=entry.max_size, base=entry.label)
    if size % step:
        raise StudioError("train.size_step", size=size, step=step, below=size - size % step, base=entry.label)
