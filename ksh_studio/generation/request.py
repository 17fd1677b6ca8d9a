"""Fills in every setting of a request for pictures, so that a recipe records all of them. No torch."""

import secrets

from ksh_studio.config import GenerateConfig, SettledGeneration
from ksh_studio.errors import StudioError, validated
from ksh_studio.generation.sampler_menu import check_pair
from ksh_studio.models.registry import BaseEntry


def settle(config: GenerateConfig, entry: BaseEntry) -> SettledGeneration:
    """The settings of a request, completed with the defaults of the base model and a random seed.

    Raises StudioError when the base model cannot draw this size, the sampler cannot have this schedule, or a default of
    the base model is out of the studio's bounds.
    """
    check_pair(config.sampler, config.schedule)
    defaults = {
        "base_model": entry.name,
        "num_inference_steps": entry.num_inference_steps,
        "guidance_scale": entry.guidance_scale,
        "seed": secrets.randbelow(2**32 - config.batch_size + 1),
        "width": entry.native_size,
        "height": entry.native_size,
        "clip_skip": entry.clip_skip,
    }
    values = config.model_dump()
    values |= {name: value for name, value in defaults.items() if values[name] in (None, "")}
    for side in (values["width"], values["height"]):
        if not entry.min_size <= side <= entry.max_size:
            raise StudioError(
                "generate.size", size=side, smallest=entry.min_size, largest=entry.max_size, base=entry.label
            )
    return validated(SettledGeneration, values)


def seeds_of(request: SettledGeneration) -> list[int]:
    """The seed of each picture: seed, seed + 1 and so on, starting again from 0 after 2^32 - 1."""
    return [(request.seed + index) % 2**32 for index in range(request.batch_size)]
