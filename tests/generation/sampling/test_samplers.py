"""Every pair of the menu against the same sampler written from its formulas, on an exact denoiser."""

from typing import get_args

import pytest
import torch

from ksh_studio.config import Sampler, Schedule
from ksh_studio.errors import StudioError
from ksh_studio.generation.sampler_menu import automatic_of, check_pair, schedules_of
from ksh_studio.generation.sampling.samplers import make_scheduler
from tests.generation.sampling import reference_samplers as reference

STEPS = 20
SHAPE = (1, 4, 8, 8)
PAIRS = [(sampler, schedule) for sampler in get_args(Sampler) for schedule in schedules_of(sampler)]
EXACT = 1e-5
FORMULAS = {"Euler": reference.euler, "Euler a": reference.euler_a, "DPM++ 2M": reference.dpm_plus_plus_2m}


def sampled(sampler, schedule, steps=STEPS, prediction_type="epsilon", stop_before=0):
    """Final latents in the scale where the picture has variance 1 + sigma², as the studio's own loop makes them."""
    scheduler = make_scheduler(sampler, schedule, prediction_type)
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(SHAPE, generator=generator) * scheduler.init_noise_sigma
    extra = {"generator": [generator]} if sampler == "Euler a" else {}
    for timestep in scheduler.timesteps[: steps - stop_before]:
        scaled = scheduler.scale_model_input(latents, timestep)
        output = reference.predicted_noise(scaled, timestep, prediction_type).float()
        latents = scheduler.step(output, timestep, latents, **extra).prev_sample
    return latents


def expected(sampler, schedule, steps=STEPS):
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(SHAPE, generator=generator)
    schedule = automatic_of(sampler) if schedule == "Automatic" else schedule
    if sampler == "DDIM":
        return reference.ddim(noise, steps)
    if sampler == "UniPC":
        return reference.unipc(noise, reference.levels(schedule, steps + 1)[:-1])
    return FORMULAS[sampler](noise, reference.levels(schedule, steps), generator)


def relative_error(found, wanted):
    return float((found.double() - wanted).norm() / wanted.norm())


@pytest.mark.parametrize(("sampler", "schedule"), [pair for pair in PAIRS if pair[0] != "DDIM"])
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_a_pair_gives_the_latents_of_its_formulas(sampler, schedule, prediction_type, record_property):
    error = relative_error(sampled(sampler, schedule, prediction_type=prediction_type), expected(sampler, schedule))
    record_property("relative_error", error)
    assert error <= EXACT


def test_ddim_is_a1111s_with_one_step_more():
    assert relative_error(sampled("DDIM", "Automatic"), expected("DDIM", "Automatic")) <= 2e-3
    assert relative_error(sampled("DDIM", "Automatic", stop_before=1), expected("DDIM", "Automatic")) <= EXACT


@pytest.mark.parametrize(("sampler", "schedule"), PAIRS)
@pytest.mark.parametrize("steps", [1, 2, 5, 60, 150])
def test_a_pair_is_finite_and_calls_the_model_once_a_step(sampler, schedule, steps):
    scheduler = make_scheduler(sampler, schedule)
    scheduler.set_timesteps(steps)
    assert len(scheduler.timesteps) == steps
    assert torch.isfinite(sampled(sampler, schedule, steps)).all()


def test_pairs_that_make_no_sense_are_refused_with_the_schedules_there_are():
    refused = [
        (sampler, schedule)
        for sampler in get_args(Sampler)
        for schedule in get_args(Schedule)
        if schedule not in schedules_of(sampler)
    ]
    assert len(refused) == 5
    for sampler, schedule in refused:
        with pytest.raises(StudioError) as error:
            check_pair(sampler, schedule)
        assert error.value.sentence.key == "generate.no_such_pair"
        assert "Automatic" in str(error.value)


def test_stock_dpm_plus_plus_2m_is_far_off_so_that_exact_mode_is_still_needed():
    from diffusers import DPMSolverMultistepScheduler

    from ksh_studio.generation.sampling.samplers import COMMON

    scheduler = DPMSolverMultistepScheduler(**COMMON, timestep_spacing="linspace")
    scheduler.set_timesteps(STEPS)
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(SHAPE, generator=generator)
    for timestep in scheduler.timesteps:
        output = reference.predicted_noise(latents, timestep).float()
        latents = scheduler.step(output, timestep, latents).prev_sample
    assert relative_error(latents, expected("DPM++ 2M", "Uniform")) > 1e-2
