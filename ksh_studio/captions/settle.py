"""The settings of a captioning with everything filled in, and how the catalogue names their author. No torch."""

from ksh_studio.config import CaptionConfig, SettledCaptioning
from ksh_studio.errors import validated
from ksh_studio.models.registry import CaptionerEntry
from ksh_studio.project.catalogue import By

WRITING_SETTINGS = (
    "prompt", "max_new_tokens", "min_new_tokens", "num_beams", "do_sample", "temperature", "top_p",
    "repetition_penalty", "no_repeat_ngram_size", "picture_shape", "cleaning", "seed",
)  # fmt: skip
"""Settings that decide what is written: a caption made with the same ones is not made again."""
NEWER_SETTINGS = ("picture_shape", "cleaning")
"""Those of them that the first versions of the studio did not have."""


def settle(config: CaptionConfig, entry: CaptionerEntry) -> SettledCaptioning:
    """The settings with the captioner's own value wherever one was left at its default.

    Raises StudioError when the two together do not fit, such as a shortest caption above the longest.
    """
    defaults = CaptionConfig()
    captioner_values = {
        name: value for name, value in entry.generation.items() if getattr(config, name) == getattr(defaults, name)
    }
    filled = {"captioner": config.captioner or entry.name, "prompt": config.prompt or entry.prompt}
    return validated(SettledCaptioning, config.model_dump() | captioner_values | filled)


def author(config: SettledCaptioning, entry: CaptionerEntry) -> By:
    """Who writes the captions, and with which settings, as the catalogue stores it."""
    return By("captioner", author_name(entry), settings_kept(config))


def settings_kept(config: SettledCaptioning) -> dict[str, object]:
    """The settings that a caption is kept with; the newer ones only where they are not at their default.

    So a caption that was made before there were these settings counts as made with the same ones.
    """
    kept, defaults = config.model_dump(include=set(WRITING_SETTINGS)), CaptionConfig().model_dump()
    return {name: value for name, value in kept.items() if name not in NEWER_SETTINGS or value != defaults[name]}


def author_name(entry: CaptionerEntry) -> str:
    """How the catalogue names the captioner: a folder without its path, which is nobody else's business."""
    is_path = entry.source_type != "hub" and ("/" in entry.name or "\\" in entry.name)
    return entry.label if is_path else entry.name
