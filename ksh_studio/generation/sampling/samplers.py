"""The samplers, as schedulers of diffusers that give the same pictures as A1111 and k-diffusion.

diffusers rounds timesteps and computes other noise levels, which changes a picture by up to a tenth. Each scheduler
here gets the noise levels of k-diffusion and their timesteps, unrounded. Everything else is the code of diffusers.
"""

from typing import Any, get_args

import numpy as np
import torch
from diffusers.schedulers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from ksh_studio.config import Sampler, Schedule
from ksh_studio.generation.sampler_menu import automatic_of, check_pair
from ksh_studio.generation.sampling.sigmas import SPACINGS, timestep_of
from ksh_studio.models.noise_schedule import BETA_END, BETA_START, NUM_TRAIN_TIMESTEPS

COMMON: dict[str, Any] = {
    "num_train_timesteps": NUM_TRAIN_TIMESTEPS,
    "beta_start": BETA_START,
    "beta_end": BETA_END,
    "beta_schedule": "scaled_linear",
}


def make_scheduler(sampler: Sampler, schedule: Schedule, prediction_type: str = "epsilon") -> SchedulerMixin:
    """A new scheduler; the scheduler configuration of the base model is not used.

    Call `set_timesteps(n)`, start from noise times `init_noise_sigma`, and step in fp32.
    Raises StudioError when the sampler cannot have this schedule.
    """
    check_pair(sampler, schedule)
    scheduler = _CLASSES[sampler](**COMMON, **_ARGUMENTS.get(sampler, {}), prediction_type=prediction_type)
    scheduler.exact_schedule = automatic_of(sampler) if schedule == "Automatic" else schedule
    return scheduler


class _ExactLevels(SchedulerMixin):
    """A scheduler with the noise levels of k-diffusion in place of those of diffusers."""

    exact_schedule: str
    final_level = True
    """Whether sampling ends at a noise level of 0, added after the schedule, or at the schedule's last level."""

    def set_timesteps(self, num_inference_steps: int, device: torch.device | None = None, **_: Any) -> None:
        """Set the noise levels and timesteps for this number of steps."""
        super().set_timesteps(num_inference_steps)
        spacing = SPACINGS[self.exact_schedule]
        levels = np.append(spacing(num_inference_steps), 0.0) if self.final_level else spacing(num_inference_steps + 1)
        self.sigmas = torch.from_numpy(levels.astype(np.float32))
        self.timesteps = torch.from_numpy(timestep_of(levels[:-1]).astype(np.float32)).to(device)
        self.num_inference_steps = num_inference_steps


class _ExactEuler(_ExactLevels, EulerDiscreteScheduler):
    pass


class _ExactEulerAncestral(_ExactLevels, EulerAncestralDiscreteScheduler):
    pass


class _ExactDpmPlusPlus2M(_ExactLevels, DPMSolverMultistepScheduler):
    """Starts at noise · s / sqrt(1 + s²), where s is the first level: k-diffusion's noise · s in this class's scale."""

    def set_timesteps(self, num_inference_steps: int, device: torch.device | None = None, **_: Any) -> None:
        super().set_timesteps(num_inference_steps, device)
        first = float(self.sigmas[0])
        self.init_noise_sigma = first / (1 + first**2) ** 0.5


class _ExactUniPC(_ExactLevels, UniPCMultistepScheduler):
    """Ends at the smallest training level, as in A1111: at a level of 0 the last step of "bh1" divides 0 by 0."""

    final_level = False


_CLASSES = {
    "Euler a": _ExactEulerAncestral,
    "Euler": _ExactEuler,
    "DPM++ 2M": _ExactDpmPlusPlus2M,
    "DDIM": DDIMScheduler,
    "UniPC": _ExactUniPC,
}
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "Euler a": {"timestep_spacing": "linspace"},
    "Euler": {"timestep_spacing": "linspace"},
    "DPM++ 2M": {"timestep_spacing": "linspace", "algorithm_type": "dpmsolver++", "solver_order": 2},
    "DDIM": {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1, "timestep_spacing": "leading"},
    "UniPC": {
        "timestep_spacing": "linspace",
        "solver_type": "bh1",
        "solver_order": 3,
        "final_sigmas_type": "sigma_min",
    },
}
assert set(_CLASSES) == set(get_args(Sampler))
