import pytest

from ksh_studio.config import CaptionConfig, Config, GenerateConfig, TrainConfig
from ksh_studio.marks import affecting, by_base, from_lora, in_group, marks, metadata_keys


@pytest.mark.parametrize("config", [CaptionConfig, TrainConfig, GenerateConfig])
def test_every_setting_has_a_mark(config):
    assert set(marks(config)) == set(config.model_fields)


def test_a_setting_without_a_mark_is_an_error():
    class Unmarked(Config):
        seed: int = 0

    with pytest.raises(LookupError, match=r"Unmarked\.seed"):
        marks(Unmarked)


def test_what_changes_the_time_of_a_step_is_another_check_and_what_changes_the_result_alone_is_not():
    assert {"rank", "resolution", "optimizer", "gradient_checkpointing"} <= set(affecting(TrainConfig, "step"))
    assert set(affecting(TrainConfig, "result")) == {"name", "validation_prompts", "seed", "init_lora", "report_to"}


def test_only_settings_that_may_be_left_open_are_filled_in():
    for name in {*by_base(TrainConfig), *from_lora(TrainConfig)}:
        assert TrainConfig.model_fields[name].default in (None, "", "auto")


def test_groups_keep_the_order_of_the_fields_and_metadata_keys_are_all_different():
    assert in_group(GenerateConfig, "size", "style") == ("width", "height", "lora", "lora_scale")
    keys = metadata_keys(TrainConfig)
    assert keys["rank"] == "network_dim" and len(set(keys.values())) == len(keys)
