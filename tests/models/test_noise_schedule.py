import numpy as np
import torch
from diffusers import DDPMScheduler

from ksh_studio.generation.sampling.sigmas import training_sigmas
from ksh_studio.models.noise_schedule import BETA_END, BETA_START, NUM_TRAIN_TIMESTEPS, alphas_cumprod


def test_it_is_stable_diffusions():
    scheduler = DDPMScheduler(
        beta_start=BETA_START, beta_end=BETA_END, beta_schedule="scaled_linear", num_train_timesteps=NUM_TRAIN_TIMESTEPS
    )
    assert torch.allclose(torch.from_numpy(alphas_cumprod()).float(), scheduler.alphas_cumprod, rtol=1e-5)


def test_training_and_sampling_each_get_the_bits_that_they_computed_for_themselves_before():
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    assert torch.equal(torch.from_numpy(alphas_cumprod()).float(), torch.cumprod(1 - betas, 0).float())
    products = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
    assert np.array_equal(training_sigmas(), np.sqrt((1 - products) / products))
