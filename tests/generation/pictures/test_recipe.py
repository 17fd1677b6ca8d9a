"""The recipe inside a picture: A1111's text as its readers expect it, and our own for exact recall."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from ksh_studio import __version__
from ksh_studio.config import GenerateConfig, SettledGeneration
from ksh_studio.errors import StudioError
from ksh_studio.generation.pictures.recipe import (
    RecipeDetails,
    parameters_text,
    read_parameters,
    read_recipe,
    split_parameters,
    to_png,
)

CONFIG = SettledGeneration(
    prompt="(drawn by KSH drawing style : 1.5), an anime girl, smile",
    negative_prompt="lowres, bad anatomy",
    base_model="anything-v5",
    lora="loras/ksh_style.safetensors",
    lora_scale=0.8,
    sampler="DPM++ 2M",
    schedule="Karras",
    num_inference_steps=28,
    guidance_scale=7.0,
    seed=12345,
    width=512,
    height=768,
    batch_size=4,
    clip_skip=2,
)
DETAILS = RecipeDetails("anime_base", "0123456789" + "f" * 54, {"ksh_style": "0123456789ab"}, " <lora:ksh_style:0.8>")


def test_the_text_is_a1111s_to_the_letter():
    assert parameters_text(CONFIG, 12345, DETAILS) == (
        "(drawn by KSH drawing style : 1.5), an anime girl, smile <lora:ksh_style:0.8>\n"
        "Negative prompt: lowres, bad anatomy\n"
        "Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 12345, Size: 512x768, "
        "Model hash: 0123456789, Model: anime_base, Clip skip: 2, RNG: CPU, "
        f'Lora hashes: "ksh_style: 0123456789ab", Version: KSH Studio {__version__}'
    )


def test_empty_fields_are_left_out_and_lengthening_is_said():
    config = CONFIG.model_copy(update={"negative_prompt": "", "clip_skip": 1})
    text = parameters_text(config, 1, RecipeDetails("m", "0" * 64, {}, padded=True))
    assert "Negative" not in text
    assert "Lora" not in text
    assert "Clip skip" not in text
    assert "Pad conds: True, Version" in text


def test_a_png_gives_its_settings_back_exactly(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(to_png(Image.new("RGB", (8, 8)), CONFIG, 12347, DETAILS))
    recipe = read_recipe(path)
    assert recipe.exact
    assert recipe.config.model_dump() == CONFIG.model_dump() | {"seed": 12347, "batch_size": 1}
    assert recipe.parameters == parameters_text(CONFIG, 12347, DETAILS)


@settings(max_examples=60, deadline=None)
@given(prompt=st.text(max_size=80), negative=st.text(max_size=80))
def test_any_prompt_survives_the_file(tmp_path_factory, prompt, negative):
    config = CONFIG.model_copy(update={"prompt": prompt, "negative_prompt": negative})
    path = tmp_path_factory.mktemp("png") / "picture.png"
    path.write_bytes(to_png(Image.new("RGB", (8, 8)), config, 1, DETAILS))
    assert read_recipe(path).config.prompt == prompt
    assert read_recipe(path).config.negative_prompt == negative


def foreign(tmp_path, parameters):
    path, text = tmp_path / "foreign.png", PngImagePlugin.PngInfo()
    text.add_text("parameters", parameters)
    Image.new("RGB", (8, 8)).save(path, pnginfo=text)
    return path


def test_another_tools_picture_is_read_as_far_as_it_goes(tmp_path):
    text = (
        "a fox,\nin snow <lora:ink:0.8>\nNegative prompt: bad,\nworse\n"
        'Steps: 30, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 99, Size: 640x960, Model: "a, b: c", '
        "Clip skip: 2, Version: v1.6.0"
    )
    recipe = read_recipe(foreign(tmp_path, text))
    assert not recipe.exact
    assert recipe.config == GenerateConfig(
        prompt="a fox,\nin snow <lora:ink:0.8>",
        negative_prompt="bad,\nworse",
        sampler="DPM++ 2M",
        schedule="Karras",
        num_inference_steps=30,
        guidance_scale=6.5,
        seed=99,
        width=640,
        height=960,
        clip_skip=2,
    )


def test_what_is_missing_is_what_it_was_in_a1111():
    config = read_parameters("a fox\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 512x512").config
    assert (config.clip_skip, config.schedule, config.sampler) == (1, "Automatic", "Euler")


def test_values_out_of_bounds_and_unknown_samplers_are_left_at_the_default():
    recipe = read_parameters("a\nSteps: 9999, Sampler: Restart, CFG scale: x, Seed: -1, Size: 513x512, Clip skip: 12")
    assert recipe.config == GenerateConfig(prompt="a", height=512)
    assert [name for name, _ in recipe.not_taken] == ["Steps", "Sampler", "CFG scale", "Seed", "Size", "Clip skip"]


def test_what_the_studio_does_not_have_is_named_with_its_value():
    recipe = read_parameters(
        "a fox\nSteps: 20, Sampler: DPM++ SDE Karras, CFG scale: 7, Seed: 1, Size: 512x512, Model hash: 0123456789, "
        'Model: anything-v5, Denoising strength: 0.4, Hires upscale: 2, RNG: NV, Lora hashes: "i: 0", Version: v1.6'
    )
    assert dict(recipe.not_taken) == {
        "Sampler": "DPM++ SDE Karras",
        "Denoising strength": "0.4",
        "Hires upscale": "2",
        "RNG": "NV",
    }
    assert (recipe.model, recipe.config.sampler) == ("anything-v5", GenerateConfig().sampler)


def test_of_the_studios_own_pictures_everything_is_taken(tmp_path):
    path = tmp_path / "own.png"
    path.write_bytes(to_png(Image.new("RGB", (8, 8)), CONFIG, 7, DETAILS))
    recipe = read_recipe(path)
    assert (recipe.not_taken, recipe.model) == ((), DETAILS.model)
    assert read_parameters(recipe.parameters).not_taken == ()


def test_fields_of_a_stranger_are_bounded_when_they_are_named():
    fields = ", ".join(f"Field {letter}{letter}: {'x' * 200}" for letter in "abcdefghijklmnopqrst")
    named = read_parameters(f"a\n{fields}").not_taken
    assert len(named) == 12 and all(len(value) <= 80 for _, value in named)


def test_quoted_values_and_prompts_that_look_like_fields_are_told_apart():
    text = 'steps: many, size: big\nNegative prompt: a: b\nSteps: 2, Sampler: "x, y: \\"z\\"", Seed: 3, Size: 64x64'
    prompt, negative, fields = split_parameters(text)
    assert prompt == "steps: many, size: big"
    assert negative == "a: b"
    assert fields["Sampler"] == 'x, y: "z"'
    assert split_parameters("only a prompt, with: one pair") == ("only a prompt, with: one pair", "", {})


def test_a_prompt_line_that_would_begin_the_negative_one_joins_the_line_before():
    config = CONFIG.model_copy(update={"prompt": "a\nNegative prompt: b"})
    prompt, negative, _ = split_parameters(parameters_text(config, 1, DETAILS))
    assert prompt.startswith("a Negative prompt: b")
    assert negative == "lowres, bad anatomy"


def test_files_without_a_recipe_and_files_that_are_no_pictures_are_refused(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    (tmp_path / "text.png").write_text("no picture")
    whole = to_png(Image.new("RGB", (64, 64)), CONFIG, 1, DETAILS)
    (tmp_path / "cut.png").write_bytes(whole[:-40])
    for name, key in (("plain.png", "no_recipe"), ("text.png", "no_picture"), ("cut.png", "no_picture")):
        with pytest.raises(StudioError) as error:
            read_recipe(tmp_path / name)
        assert error.value.sentence.key == f"generate.{key}", name


@pytest.mark.parametrize("chunk", ["[" * 100_000, "{}", "null", '{"config": {"steps": 1}, "seed": 1}', "{" * 10])
def test_a_hostile_chunk_of_ours_is_not_believed(tmp_path, chunk):
    path, text = tmp_path / "hostile.png", PngImagePlugin.PngInfo()
    text.add_itxt("ksh_studio", chunk)
    text.add_text("parameters", "a\nSteps: 3, Sampler: Euler, Seed: 4")
    Image.new("RGB", (8, 8)).save(path, pnginfo=text)
    recipe = read_recipe(path)
    assert (recipe.exact, recipe.config.num_inference_steps) == (False, 3)


def test_reading_fields_takes_linear_time():
    for piece in ("a: b, ", 'a: "', "aa", ": ", "a:, ", "\\", '"'):
        began = time.thread_time()
        split_parameters("p\n" + piece * (50_000 // len(piece)))
        assert time.thread_time() - began < 0.5, piece
