"""A preset on the base model that is to learn: what the model cannot do as the preset asks is changed, and said."""

from dataclasses import dataclass
from typing import Any

from ksh_studio.config import DEFAULT_TRIGGER
from ksh_studio.locales import Sentence, sentence
from ksh_studio.models.registry import BaseEntry
from ksh_studio.presets import TRAIN_PRESETS


@dataclass(frozen=True)
class FittedPreset:
    """A preset's settings as one base model can use them."""

    settings: dict[str, Any]
    """Values of TrainConfig by name."""
    changes: tuple[Sentence, ...] = ()
    """What had to be changed for the base model."""


def fitted_preset(name: str, entry: BaseEntry, trigger: str = DEFAULT_TRIGGER) -> FittedPreset:
    """The preset of this name for a base model: a size that is not the model's own is left to the model.

    Its preview prompts call the style by the project's trigger. An unknown name is a preset without settings.
    """
    settings = dict(TRAIN_PRESETS.get(name, {}))
    if "validation_prompts" in settings:
        prompts = (prompt.replace(DEFAULT_TRIGGER, trigger).strip(" ,") for prompt in settings["validation_prompts"])
        settings["validation_prompts"] = tuple(prompts)
    size = settings.get("resolution")
    if size is None or size == entry.native_size:
        return FittedPreset(settings)
    change = sentence("train.preset_size", size=size, base=entry.label, own=entry.native_size)
    return FittedPreset(settings | {"resolution": None}, (change,))
