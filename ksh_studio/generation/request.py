"""Fills in what the artist left to the model, so that a recipe says everything. No torch."""

import secrets

from ksh_studio.config import GenerateConfig
from ksh_studio.errors import StudioError
from ksh_studio.generation.sampler_menu import check_pair
from ksh_studio.models.registry import BaseEntry
from ksh_studio.project.workspace import Project


def resolve(config: GenerateConfig, entry: BaseEntry) -> GenerateConfig:
    """The settings with every None replaced: by the base model's own values, the seed by a random one.

    Raises StudioError for a size the base model cannot draw, or a sampler without that schedule.
    """
    check_pair(config.sampler, config.schedule)
    own = {
        "base_model": config.base_model or entry.name,
        "num_inference_steps": entry.num_inference_steps,
        "guidance_scale": entry.guidance_scale,
        "seed": secrets.randbelow(2**32 - config.batch_size + 1),
        "width": entry.native_size,
        "height": entry.native_size,
        "clip_skip": entry.clip_skip,
    }
    filled = config.model_copy(update={k: v for k, v in own.items() if getattr(config, k) in (None, "")})
    for side in (filled.width, filled.height):
        if not entry.min_size <= side <= entry.max_size:
            raise StudioError(
                "generate.size", size=side, smallest=entry.min_size, largest=entry.max_size, base=entry.label
            )
    return filled


def base_model_of(config: GenerateConfig, project: Project, fallback: str) -> str:
    """Name of the base model: the request's, else the project's, else `fallback`."""
    return config.base_model or project.settings().base_model or fallback


def seeds_of(config: GenerateConfig) -> list[int]:
    """Seed of each picture: seed, seed + 1 and so on, beginning again at 0 after the largest."""
    return [(config.seed + index) % 2**32 for index in range(config.batch_size)]
