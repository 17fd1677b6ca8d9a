"""The parts of the training objective: noisy latents, what the UNet should predict, how much each timestep counts."""

from typing import Literal

import torch
from torch import Tensor

PredictionType = Literal["epsilon", "v_prediction"]


def snr_weights(alphas_cumprod: Tensor, snr_gamma: float | None, prediction_type: PredictionType) -> Tensor:
    """Loss weight of each timestep, [1000], made once: nothing is looked up on the host during a step.

    min(snr, gamma) / snr for epsilon, / (snr + 1) for v (Hang et al. 2023, arXiv:2303.09556, section 3.4); with
    `snr_gamma` None all are 1. Raises ValueError for another prediction type.
    """
    snr = alphas_cumprod / (1 - alphas_cumprod)
    if prediction_type not in ("epsilon", "v_prediction"):
        raise ValueError(prediction_type)
    if snr_gamma is None:
        return torch.ones_like(snr)
    divisor = snr if prediction_type == "epsilon" else snr + 1
    return snr.clamp(max=snr_gamma) / divisor


def add_noise(latents: Tensor, noise: Tensor, alpha: Tensor) -> Tensor:
    """Noisy latents sqrt(a) x + sqrt(1 - a) e, [B, C, h, w], of latents x, noise e and `alpha` a, [B]."""
    alpha = alpha.view(-1, 1, 1, 1)
    return alpha.sqrt() * latents + (1 - alpha).sqrt() * noise


def prediction_target(latents: Tensor, noise: Tensor, alpha: Tensor, prediction_type: PredictionType) -> Tensor:
    """What the UNet should predict, [B, C, h, w]: the noise e, or the velocity sqrt(a) e - sqrt(1 - a) x.

    Velocity: Salimans and Ho 2022, arXiv:2202.00512, appendix D.
    """
    if prediction_type == "epsilon":
        return noise
    alpha = alpha.view(-1, 1, 1, 1)
    return alpha.sqrt() * noise - (1 - alpha).sqrt() * latents


def weighted_mse(model_pred: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Mean over the batch of each sample's mean squared error times its weight [B]; computed in fp32."""
    losses = (model_pred.float() - target.float()).square().mean(dim=(1, 2, 3))  # [B]
    return (losses * weights).mean()
