"""Fills in the settings of a captioning, and gives the author that the catalogue stores with captions. No torch."""

from ksh_studio.config import CaptionConfig, SettledCaptioning
from ksh_studio.errors import validated
from ksh_studio.models.registry import CaptionerEntry
from ksh_studio.project.catalogue import By

WRITING_SETTINGS = (
    "prompt", "max_new_tokens", "min_new_tokens", "num_beams", "do_sample", "temperature", "top_p",
    "repetition_penalty", "no_repeat_ngram_size", "picture_shape", "cleaning", "seed",
)  # fmt: skip
"""The settings that captions depend on: a drawing captioned with the same ones is not captioned again."""
NEWER_SETTINGS = ("picture_shape", "cleaning")
"""Those of WRITING_SETTINGS that the first versions of the studio did not have."""


def settle(config: CaptionConfig, entry: CaptionerEntry) -> SettledCaptioning:
    """The settings with the captioner's value in place of each one that is at its default.

    Raises StudioError when the result is not valid, for example when the shortest caption is longer than the longest.
    """
    defaults = CaptionConfig()
    captioner_values = {
        name: value for name, value in entry.generation.items() if getattr(config, name) == getattr(defaults, name)
    }
    filled = {"captioner": config.captioner or entry.name, "prompt": config.prompt or entry.prompt}
    return validated(SettledCaptioning, config.model_dump() | captioner_values | filled)


def author(config: SettledCaptioning, entry: CaptionerEntry) -> By:
    """The author of captions made with these settings, as the catalogue stores it."""
    return By("captioner", author_name(entry), settings_kept(config))


def settings_kept(config: SettledCaptioning) -> dict[str, object]:
    """The settings to store with a caption; the newer ones are left out when they have their default.

    A caption from a version without the newer settings is thereby recognised as made with the same settings.
    """
    kept, defaults = config.model_dump(include=set(WRITING_SETTINGS)), CaptionConfig().model_dump()
    return {name: value for name, value in kept.items() if name not in NEWER_SETTINGS or value != defaults[name]}


def author_name(entry: CaptionerEntry) -> str:
    """The captioner's name in the catalogue: for a folder without the path, which stays private."""
    is_path = entry.source_type != "hub" and ("/" in entry.name or "\\" in entry.name)
    return entry.label if is_path else entry.name
