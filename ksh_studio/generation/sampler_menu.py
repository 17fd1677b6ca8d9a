"""The schedules that each sampler can have, for the page and to check settings. No torch."""

from typing import get_args

from ksh_studio.config import Sampler, Schedule
from ksh_studio.errors import StudioError

ALL: tuple[Schedule, ...] = get_args(Schedule)
# DDIM has its own timesteps; UniPC already spaces its steps as SGM Uniform does for the others.
_SCHEDULES: dict[Sampler, tuple[Schedule, ...]] = {
    "Euler a": ALL,
    "Euler": ALL,
    "DPM++ 2M": ALL,
    "DDIM": ("Automatic",),
    "UniPC": ("Automatic", "Uniform", "Karras", "Exponential"),
}
_AUTOMATIC: dict[Sampler, Schedule] = {
    "Euler a": "Uniform",
    "Euler": "Uniform",
    "DPM++ 2M": "Karras",
    "DDIM": "Automatic",
    "UniPC": "Uniform",
}


def schedules_of(sampler: Sampler) -> tuple[Schedule, ...]:
    """The schedules that this sampler can have, "Automatic" first."""
    return _SCHEDULES[sampler]


def automatic_of(sampler: Sampler) -> Schedule:
    """The schedule that "Automatic" means for this sampler, as in A1111."""
    return _AUTOMATIC[sampler]


def check_pair(sampler: Sampler, schedule: Schedule) -> None:
    """Raise StudioError, with the schedules that the sampler can have, when this is none of them."""
    if schedule not in _SCHEDULES[sampler]:
        allowed = ", ".join(_SCHEDULES[sampler])
        raise StudioError("generate.no_such_pair", sampler=sampler, schedule=schedule, allowed=allowed)
