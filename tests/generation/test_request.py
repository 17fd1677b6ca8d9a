"""A request is settled once: nothing in it is None, and what the base model cannot draw is refused."""

from dataclasses import replace

import pytest

from ksh_studio.config import GenerateConfig, SettledGeneration
from ksh_studio.errors import StudioError
from ksh_studio.generation.request import seeds_of, settle
from ksh_studio.models.registry import ANYTHING, BaseEntry

SMALL = BaseEntry("small", "Small", "/small", "folder", native_size=128, max_size=512, clip_skip=2,
                  num_inference_steps=9, guidance_scale=3.5)  # fmt: skip


def test_what_is_left_open_is_the_base_models_own_and_the_seed_random():
    request = settle(GenerateConfig(prompt="a fox"), SMALL)
    assert isinstance(request, SettledGeneration)
    assert None not in request.model_dump().values()
    assert (request.base_model, request.num_inference_steps, request.guidance_scale) == ("small", 9, 3.5)
    assert (request.width, request.height, request.clip_skip) == (128, 128, 2)
    assert len({settle(GenerateConfig(), SMALL).seed for _ in range(4)}) > 1


def test_what_is_given_stays_zero_included():
    given = {"base_model": "other", "num_inference_steps": 2, "guidance_scale": 0.0, "seed": 0, "width": 256,
             "height": 64, "clip_skip": 1, "lora": "loras/ink.safetensors", "sampler": "UniPC"}  # fmt: skip
    config = GenerateConfig(**given)
    assert settle(config, SMALL).model_dump() == config.model_dump()


def test_every_open_setting_of_a_request_is_settled():
    open_settings = {name for name, value in GenerateConfig() if value is None}
    assert open_settings == set(SettledGeneration.__annotations__)


def test_seeds_count_up_and_begin_again_after_the_largest():
    assert seeds_of(settle(GenerateConfig(seed=2**32 - 2, batch_size=4), ANYTHING)) == [2**32 - 2, 2**32 - 1, 0, 1]


def test_a_base_model_whose_own_values_are_out_of_bounds_is_a_sentence():
    with pytest.raises(StudioError):
        settle(GenerateConfig(), replace(SMALL, num_inference_steps=1000))


@pytest.mark.parametrize("size", [("width", 64), ("height", 1024)])
def test_a_size_the_base_cannot_draw_is_refused(size):
    entry = BaseEntry("small", "Small", "/small", "folder", min_size=96, max_size=512)
    with pytest.raises(StudioError) as error:
        settle(GenerateConfig(**({"width": 256, "height": 256} | dict([size]))), entry)
    assert error.value.sentence.key == "generate.size"
