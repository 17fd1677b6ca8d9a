"""The noise schedule, what the UNet should predict, and how much each noise level counts."""

from typing import Literal

import torch
from torch import Tensor

PredictionType = Literal["epsilon", "v_prediction"]
TIMESTEPS = 1000


def alphas_cumprod() -> Tensor:
    """Share of the picture's variance left at each timestep, [1000], Stable Diffusion's scaled-linear schedule."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, TIMESTEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()


def snr_weights(alphas: Tensor, gamma: float | None, prediction_type: PredictionType) -> Tensor:
    """Loss weight of each timestep, [1000], made once: nothing is looked up on the host during a step.

    min(snr, gamma) / snr for epsilon, / (snr + 1) for v (Hang et al. 2023, arXiv:2303.09556, section 3.4); gamma None:
    ones. Raises ValueError for another prediction type.
    """
    snr = alphas / (1 - alphas)
    if prediction_type not in ("epsilon", "v_prediction"):
        raise ValueError(prediction_type)
    if gamma is None:
        return torch.ones_like(snr)
    divisor = snr if prediction_type == "epsilon" else snr + 1
    return snr.clamp(max=gamma) / divisor


def noisy(latents: Tensor, noise: Tensor, alpha: Tensor) -> Tensor:
    """Latents [B, C, h, w] with noise mixed in; alpha: what is left of them, [B]."""
    alpha = alpha.view(-1, 1, 1, 1)
    return alpha.sqrt() * latents + (1 - alpha).sqrt() * noise


def target(latents: Tensor, noise: Tensor, alpha: Tensor, prediction_type: PredictionType) -> Tensor:
    """What the UNet should predict, [B, C, h, w]: the noise, or the velocity (arXiv:2202.00512, appendix D)."""
    if prediction_type == "epsilon":
        return noise
    alpha = alpha.view(-1, 1, 1, 1)
    return alpha.sqrt() * noise - (1 - alpha).sqrt() * latents


def weighted_mse(predicted: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Mean over the batch of each sample's mean squared error times its weight [B]; computed in fp32."""
    each = (predicted.float() - wanted.float()).square().mean(dim=(1, 2, 3))  # [B]
    return (each * weights).mean()
