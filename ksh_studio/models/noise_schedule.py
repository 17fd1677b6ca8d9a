"""The noise schedule that Stable Diffusion was trained with; training and sampling both take it from here. No torch."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
NUM_TRAIN_TIMESTEPS = 1000
BETA_START, BETA_END = 0.00085, 0.012


def alphas_cumprod() -> Array:
    """Share of the picture's variance that is left at each timestep: the cumulative product of 1 - beta, [1000].

    The betas are Stable Diffusion's "scaled_linear" ones: even steps in their square roots.
    """
    betas = np.linspace(BETA_START**0.5, BETA_END**0.5, NUM_TRAIN_TIMESTEPS) ** 2
    return np.cumprod(1 - betas)
