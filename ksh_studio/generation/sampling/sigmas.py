"""Noise levels of a sampling run, spaced as A1111 and k-diffusion space them, in double precision. No torch.

A level sigma belongs to the timestep t at which the training noise had that ratio to the picture; between whole
timesteps both are interpolated in log sigma (k-diffusion, `external.py`, DiscreteSchedule).
"""

from collections.abc import Callable

import numpy as np

from ksh_studio.models.noise_schedule import NUM_TRAIN_TIMESTEPS, Array, alphas_cumprod

KARRAS_RHO = 7.0


def training_sigmas() -> Array:
    """Noise level sqrt((1 - a) / a) of each training timestep, [1000], rising; a: `alphas_cumprod`."""
    alphas = alphas_cumprod()
    return np.sqrt((1 - alphas) / alphas)


def sigma_of(timesteps: Array) -> Array:
    """Noise level at timesteps in 0..999, whole or not."""
    return np.exp(np.interp(timesteps, np.arange(NUM_TRAIN_TIMESTEPS), np.log(training_sigmas())))


def timestep_of(sigmas: Array) -> Array:
    """Timestep in 0..999, not rounded, of noise levels."""
    return np.interp(np.log(sigmas), np.log(training_sigmas()), np.arange(NUM_TRAIN_TIMESTEPS))


def uniform(count: int) -> Array:
    """Timesteps 999 … 0, `count` of them, both ends included."""
    return sigma_of(np.linspace(NUM_TRAIN_TIMESTEPS - 1, 0, count))


def karras(count: int) -> Array:
    """Karras et al. 2022, arXiv:2206.00364, equation 5, rho 7."""
    low, high = training_sigmas()[[0, -1]] ** (1 / KARRAS_RHO)
    return (high + np.linspace(0, 1, count) * (low - high)) ** KARRAS_RHO


def exponential(count: int) -> Array:
    """Even steps in log sigma."""
    low, high = np.log(training_sigmas()[[0, -1]])
    return np.exp(np.linspace(high, low, count))


def sgm_uniform(count: int) -> Array:
    """Timesteps 999 … just above 0: `count` + 1 even ones without the last."""
    return uniform(count + 1)[:-1]


SPACINGS: dict[str, Callable[[int], Array]] = {
    "Uniform": uniform,
    "Karras": karras,
    "Exponential": exponential,
    "SGM Uniform": sgm_uniform,
}
