import gradio as gr
import pytest

from ksh_studio.config import ALL_CONFIGS, GenerateConfig, ProjectSettings, TrainConfig, Trigger
from ksh_studio.errors import StudioError
from ksh_studio.presets import TRAIN_PRESETS
from ksh_studio.ui.parts.form import config_from, field, fields, form_values

STAGES = [("caption", name) for name in ALL_CONFIGS["caption"].model_fields]
STAGES += [("train", name) for name in ALL_CONFIGS["train"].model_fields]
STAGES += [("generate", name) for name in ALL_CONFIGS["generate"].model_fields]


@pytest.mark.parametrize(("stage", "name"), STAGES)
def test_every_setting_has_a_component_that_shows_its_default(stage, name):
    with gr.Blocks():
        component = field(stage, name)
    default = ALL_CONFIGS[stage].model_fields[name].default
    shown = form_values(ALL_CONFIGS[stage](), [name])[name]
    assert (component.value or "") == (shown or "")
    assert default is not None or component.value in ("", None)
    assert component.elem_id == f"{stage}-{name.replace('_', '-')}"


@pytest.mark.parametrize("stage", ["caption", "train", "generate"])
def test_an_untouched_form_is_the_default_config(stage):
    with gr.Blocks():
        form = fields(stage, *ALL_CONFIGS[stage].model_fields)
    assert config_from(ALL_CONFIGS[stage], {name: part.value for name, part in form.items()}) == ALL_CONFIGS[stage]()


@pytest.mark.parametrize("preset", TRAIN_PRESETS)
def test_a_preset_goes_through_the_form_and_back_unchanged(preset):
    config = TrainConfig(**TRAIN_PRESETS[preset])
    assert config_from(TrainConfig, form_values(config, TrainConfig.model_fields)) == config


def test_zero_is_zero_and_empty_is_none_or_the_default():
    config = config_from(
        GenerateConfig, {"guidance_scale": 0, "seed": 0, "num_inference_steps": None, "batch_size": None}
    )
    assert (config.guidance_scale, config.seed, config.num_inference_steps, config.batch_size) == (0.0, 0, None, 1)
    assert config_from(TrainConfig, {"snr_gamma": None}).snr_gamma is None


def test_numbers_come_as_floats_from_the_browser():
    assert config_from(TrainConfig, {"rank": 8.0, "max_train_steps": 30.0}).rank == 8


def test_a_value_out_of_its_bounds_is_one_sentence_that_names_it():
    with pytest.raises(StudioError, match="CFG scale"):
        config_from(GenerateConfig, {"guidance_scale": 99})
    with pytest.raises(StudioError, match="Width"):
        config_from(GenerateConfig, {"width": "nan"})


def test_preview_prompts_are_one_a_line():
    config = config_from(TrainConfig, {"validation_prompts": "a cat\n\n  a dog \n"})
    assert config.validation_prompts == ("a cat", "a dog")
    assert form_values(config, ["validation_prompts"]) == {"validation_prompts": "a cat\na dog"}


def test_a_number_that_may_be_none_is_text_that_may_be_empty():
    with gr.Blocks():
        steps = field("generate", "num_inference_steps")
        pictures = field("generate", "batch_size")
    assert isinstance(steps, gr.Textbox) and steps.value == ""
    assert isinstance(pictures, gr.Number) and pictures.value == 1
    typed = {"num_inference_steps": " 12 ", "guidance_scale": "6.5", "seed": "4294967295", "batch_size": 2}
    config = config_from(GenerateConfig, typed)
    assert (config.num_inference_steps, config.guidance_scale, config.seed) == (12, 6.5, 2**32 - 1)
    assert config_from(TrainConfig, {"learning_rate": "1e-4", "rank": "4"}).learning_rate == 1e-4


@pytest.mark.parametrize("text", ["many", "1,5", "nan", "inf", "1e400", "7.5"])
def test_a_number_that_is_none_of_the_kind_is_refused_by_name(text):
    with pytest.raises(StudioError, match="Steps"):
        config_from(GenerateConfig, {"num_inference_steps": text})


def test_the_slider_of_the_strength_goes_from_nothing_to_double():
    with gr.Blocks():
        strength = field("generate", "lora_scale", minimum=0.0, maximum=2.0, step=0.05)
    assert (strength.minimum, strength.maximum, strength.value) == (0.0, 2.0, GenerateConfig().lora_scale)


def test_an_emptied_text_is_empty_and_not_its_default():
    assert config_from(Trigger, {"text": " ", "position": "end"}).text == ""
    with pytest.raises(StudioError, match="^Name .*1 character"):
        config_from(ProjectSettings, {"name": ""})
