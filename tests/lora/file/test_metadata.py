"""Which base model a file says it fits."""

from ksh_studio.lora.file.metadata import base_family


def test_sd15_is_called_sd_v1_and_nothing_else_is():
    assert base_family(768, (320, 640, 1280, 1280), "any")["ss_base_model_version"] == "sd_v1"
    assert base_family(1024, (320, 640, 1280, 1280), "any")["ss_v2"] == "True"
    assert base_family(768, (64, 128), "pocket")["ss_base_model_version"] == "pocket"
