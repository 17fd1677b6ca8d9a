"""Noise levels of a sampling run, spaced as A1111 and k-diffusion space them, in double precision. No torch.

A level sigma belongs to the timestep t at which the training noise had that ratio to the picture; between whole
timesteps both are interpolated in log sigma (k-diffusion, `external.py`, DiscreteSchedule).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
TRAIN_STEPS = 1000
BETA_START, BETA_END = 0.00085, 0.012
KARRAS_RHO = 7.0


def training_sigmas() -> Array:
    """Noise level sqrt((1 - a) / a) of each training timestep, [1000], rising; a: cumulative product of 1 - beta.

    Betas are Stable Diffusion's "scaled_linear" ones.
    """
    betas = np.linspace(BETA_START**0.5, BETA_END**0.5, TRAIN_STEPS) ** 2
    products = np.cumprod(1 - betas)
    return np.sqrt((1 - products) / products)


def sigma_of(timesteps: Array) -> Array:
    """Noise level at timesteps in 0..999, whole or not."""
    return np.exp(np.interp(timesteps, np.arange(TRAIN_STEPS), np.log(training_sigmas())))


def timestep_of(sigmas: Array) -> Array:
    """Timestep in 0..999, not rounded, of noise levels."""
    return np.interp(np.log(sigmas), np.log(training_sigmas()), np.arange(TRAIN_STEPS))


def uniform(count: int) -> Array:
    """Timesteps 999 … 0, `count` of them, both ends included."""
    return sigma_of(np.linspace(TRAIN_STEPS - 1, 0, count))


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
