import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr

from ksh_studio.models.noise_schedule import alphas_cumprod
from ksh_studio.training.step.learning_rate import lr_factor
from ksh_studio.training.step.loss import add_noise, prediction_target, snr_weights, weighted_mse

ALPHAS = torch.from_numpy(alphas_cumprod()).float()


@pytest.fixture
def scheduler():
    return DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)


def test_noise_and_target_are_the_schedulers(scheduler):
    latents, noise, timesteps = torch.randn(4, 4, 8, 8), torch.randn(4, 4, 8, 8), torch.tensor([0, 10, 500, 999])
    alpha = ALPHAS[timesteps]
    assert torch.allclose(add_noise(latents, noise, alpha), scheduler.add_noise(latents, noise, timesteps), atol=1e-5)
    velocity = scheduler.get_velocity(latents, noise, timesteps)
    assert torch.allclose(prediction_target(latents, noise, alpha, "v_prediction"), velocity, atol=1e-5)
    assert prediction_target(latents, noise, alpha, "epsilon") is noise


@pytest.mark.parametrize(("prediction_type", "extra"), [("epsilon", 0), ("v_prediction", 1)])
def test_min_snr_weights_are_the_papers(scheduler, prediction_type, extra):
    weights = snr_weights(ALPHAS, 5.0, prediction_type)
    timesteps = torch.arange(1000)
    snr = compute_snr(scheduler, timesteps)
    assert torch.allclose(weights, snr.clamp(max=5.0) / (snr + extra), rtol=1e-3)
    assert weights.shape == (1000,) and 0 < weights.min() and weights.max() <= 1.0 + 1e-6
    assert torch.equal(snr_weights(ALPHAS, None, prediction_type), torch.ones(1000))


def test_another_prediction_type_is_an_error():
    with pytest.raises(ValueError, match="sample"):
        snr_weights(ALPHAS, 5.0, "sample")


def test_the_loss_weighs_each_sample():
    predicted, wanted = torch.zeros(2, 4, 2, 2), torch.stack([torch.ones(4, 2, 2), 2 * torch.ones(4, 2, 2)])
    assert weighted_mse(predicted, wanted, torch.ones(2)).item() == 2.5
    assert weighted_mse(predicted, wanted, torch.tensor([1.0, 0.25])).item() == 1.0


def test_the_learning_rate_is_a_function_of_the_step():
    rates = [lr_factor("cosine", step, 100, 10) for step in range(1, 101)]
    assert rates[0] == pytest.approx(1 / 11) and rates[10] == 1.0 and max(rates) == 1.0
    assert rates[55] == pytest.approx(0.5) and rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.001
    assert [lr_factor("linear", step, 4, 0) for step in (1, 2, 3, 4)] == [1.0, 0.75, 0.5, 0.25]
    assert {lr_factor("constant", step, 9, 3) for step in range(1, 10)} == {1.0}
    assert [lr_factor("constant_with_warmup", step, 9, 1) for step in (1, 2, 9)] == [0.5, 1.0, 1.0]
