"""The noise levels of sampling, spaced as in A1111 and k-diffusion, in double precision. No torch.

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
    """The noise levels at timesteps in 0..999, which need not be whole."""
    return np.exp(np.interp(timesteps, np.arange(NUM_TRAIN_TIMESTEPS), np.log(training_sigmas())))


def timestep_of(sigmas: Array) -> Array:
    """The timesteps in 0..999, not rounded, of noise levels."""
    return np.interp(np.log(sigmas), np.log(training_sigmas()), np.arange(NUM_TRAIN_TIMESTEPS))


def uniform(count: int) -> Array:
    """Noise levels at `count` evenly spaced timesteps from 999 to 0, both included."""
    return sigma_of(np.linspace(NUM_TRAIN_TIMESTEPS - 1, 0, count))


def karras(count: int) -> Array:
    """Noise levels by Karras et al. 2022, arXiv:2206.00364, equation 5, with rho 7."""
    low, high = training_sigmas()[[0, -1]] ** (1 / KARRAS_RHO)
    return (high + np.linspace(0, 1, count) * (low - high)) ** KARRAS_RHO


def exponential(count: int) -> Array:
    """Noise levels evenly spaced in log sigma."""
    low, high = np.log(training_sigmas()[[0, -1]])
    return np.exp(np.linspace(high, low, count))


def sgm_uniform(count: int) -> Array:
    """Noise levels at `count` + 1 evenly spaced timesteps from 999 to 0, without the last."""
    return uniform(count + 1)[:-1]


SPACINGS: dict[str, Callable[[int], Array]] = {
    "Uniform": uniform,
    "Karras": karras,
    "Exponential": exponential,
    "SGM Uniform": sgm_uniform,
}
