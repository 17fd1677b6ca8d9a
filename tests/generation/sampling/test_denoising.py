"""Denoising: a picture depends on its seed and nothing else, and is never black by NaN."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ksh_studio.config import GenerateConfig
from ksh_studio.errors import StudioError
from ksh_studio.generation.interrupting import Interrupted
from ksh_studio.generation.prompt.encoding import encode_prompts
from ksh_studio.generation.prompt.parse import parse_prompts
from ksh_studio.generation.request import settle
from ksh_studio.generation.sampling.denoising import denoise, latent_preview, make_pictures
from ksh_studio.generation.sampling.samplers import make_scheduler
from ksh_studio.models.loading import load_base
from ksh_studio.models.registry import base_entry
from tests.tiny import tiny_base_folder

REQUEST = GenerateConfig(prompt="(a fox:1.3) in snow", negative_prompt="blurry", num_inference_steps=4)


def encoded(base, request):
    return encode_prompts(base, parse_prompts(request.prompt, request.negative_prompt), request.clip_skip)


def final_latents(base, request, seeds):
    request = settle(request, base.entry)
    *_, last = denoise(base, request, encoded(base, request), seeds)
    return last.latents


def drawn(base, request, seeds, on_step=None):
    return make_pictures(base, settle(request, base.entry), seeds, on_step)


@pytest.mark.parametrize("sampler", ["Euler a", "Euler", "DPM++ 2M", "DDIM", "UniPC"])
def test_image_3_of_a_batch_of_4_is_the_single_run_of_seed_plus_2(base, sampler):
    request = REQUEST.model_copy(update={"sampler": sampler})
    batch = final_latents(base, request, [7, 8, 9, 10])
    alone = final_latents(base, request, [9])
    torch.testing.assert_close(batch[2:3], alone, rtol=1e-3, atol=1e-4)
    assert (batch[1] - batch[2]).abs().mean() > 0.1


def test_the_same_request_gives_the_same_picture_and_another_seed_another(base):
    first, again, other = (np.asarray(drawn(base, REQUEST, [seed])[0], np.int16) for seed in (7, 7, 8))
    assert first.shape == (64, 64, 3)
    assert (first == again).all()
    assert np.abs(first - other).mean() > 1


def test_a_plain_request_is_the_picture_of_diffusers_own_pipeline(base):
    from diffusers import StableDiffusionPipeline

    request = GenerateConfig(prompt="a fox", negative_prompt="bad", sampler="DDIM", num_inference_steps=5)
    pipeline = StableDiffusionPipeline(
        vae=base.vae,
        text_encoder=base.text_encoder,
        tokenizer=base.tokenizer,
        unet=base.unet,
        scheduler=make_scheduler("DDIM", "Automatic"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        "a fox",
        negative_prompt="bad",
        num_inference_steps=5,
        guidance_scale=7.0,
        generator=torch.Generator().manual_seed(7),
        width=64,
        height=64,
    ).images[0]
    result = drawn(base, request, [7])[0]
    assert np.abs(np.asarray(result, np.int16) - np.asarray(expected, np.int16)).max() <= 1


def test_size_is_as_asked(base):
    assert drawn(base, REQUEST.model_copy(update={"width": 96, "height": 72}), [1])[0].size == (96, 72)


def test_guidance_1_asks_the_unet_once_for_each_picture(base, monkeypatch):
    batches = []
    forward = base.unet.forward
    monkeypatch.setattr(base.unet, "forward", lambda x, *a, **k: batches.append(len(x)) or forward(x, *a, **k))
    drawn(base, REQUEST.model_copy(update={"guidance_scale": 1.0}), [1, 2])
    drawn(base, REQUEST.model_copy(update={"guidance_scale": 7.0}), [1, 2])
    assert batches == [2] * 4 + [4] * 4


def test_guidance_and_negative_prompt_change_the_picture(base):
    plain = final_latents(base, REQUEST, [7])
    for change in ({"guidance_scale": 2.0}, {"negative_prompt": "snow"}, {"prompt": "a fox in snow"}, {"clip_skip": 2}):
        assert (final_latents(base, REQUEST.model_copy(update=change), [7]) - plain).abs().max() > 1e-3, change


def test_drawing_ends_between_two_steps_when_asked(base):
    done = []

    def on_step(step):
        done.append((step.done, step.total))
        return step.done < 2

    with pytest.raises(Interrupted):
        drawn(base, REQUEST, [7], on_step)
    assert done == [(1, 4), (2, 4)]


def test_latents_that_are_not_finite_are_an_error_and_no_black_picture(base, monkeypatch):
    forward = base.unet.forward

    def broken(*arguments, **options):
        result = forward(*arguments, **options)
        result.sample[0, 0, 0, 0] = float("nan")
        return result

    monkeypatch.setattr(base.unet, "forward", broken)
    with pytest.raises(StudioError) as error:
        drawn(base, REQUEST, [7])
    assert error.value.sentence.key == "generate.not_finite"


@pytest.mark.parametrize("sampler", ["Euler a", "Euler", "DPM++ 2M", "DDIM", "UniPC"])
def test_every_sampler_says_early_what_it_expects_in_the_end(base, sampler):
    request = settle(REQUEST.model_copy(update={"sampler": sampler, "guidance_scale": 1.0}), base.entry)
    first, *_, last = denoise(base, request, encoded(base, request), [7])
    assert first.pred_original_sample.shape == first.latents.shape
    assert not torch.equal(first.pred_original_sample, first.latents)
    assert torch.isfinite(last.pred_original_sample).all()


def test_a_preview_is_one_pixel_a_latent_and_needs_a_matrix(base):
    latents = torch.randn(2, 4, 8, 8)
    pictures = latent_preview(base, latents)
    assert [picture.size for picture in pictures] == [(8, 8), (8, 8)]
    without = replace(base, entry=replace(base.entry, latent_rgb=()))
    assert latent_preview(without, latents) == []


def test_a_v_prediction_base_and_other_latents_draw(tmp_path):
    folder = tiny_base_folder(tmp_path, "v_prediction", latent_channels=8)
    base = load_base(base_entry(str(folder)), torch.device("cpu"))
    assert base.entry.latent_rgb == ()
    assert drawn(base, REQUEST, [7])[0].size == (64, 64)


def test_half_precision_draws_finite_pictures(base_folder):
    exact = load_base(base_entry(str(base_folder)), torch.device("cpu"), "no")
    half = load_base(base_entry(str(base_folder)), torch.device("cpu"), "bf16")
    error = (final_latents(half, REQUEST, [7]) - final_latents(exact, REQUEST, [7])).norm()
    assert error / final_latents(exact, REQUEST, [7]).norm() < 0.1


def test_large_pictures_are_drawn_a_few_at_a_time_and_are_the_same(base, monkeypatch):
    whole = final_latents(base, REQUEST, [7, 8, 9])
    sizes, forward = [], base.unet.forward
    monkeypatch.setattr(
        base.unet, "forward", lambda x, *rest, **named: sizes.append(len(x)) or forward(x, *rest, **named)
    )
    monkeypatch.setattr("ksh_studio.generation.sampling.denoising.LATENTS_AT_ONCE", 2 * whole[0, 0].numel())
    assert (final_latents(base, REQUEST, [7, 8, 9]) - whole).abs().max() < 1e-4
    assert set(sizes) == {4, 2}  # two pictures, then one, each with and without the prompt
