"""The presets of captioning, and what they put into the form."""

import pytest

from ksh_studio.config import CaptionConfig
from ksh_studio.presets import CAPTION_PRESETS
from ksh_studio.ui.parts.form import config_from
from tests.ui.open_page import ROLES


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("preset", CAPTION_PRESETS)
def test_a_preset_fills_every_setting_and_sets_back_what_another_has_set(opened, role, preset):
    page = opened(role)
    for name in ("original_later", preset):
        page.set("caption-preset", name)
        page.press("caption-preset", "input")
    shown = {name: page.value(f"caption-{name.replace('_', '-')}") for name in CaptionConfig.model_fields}
    assert config_from(CaptionConfig, shown) == CaptionConfig(**CAPTION_PRESETS[preset])
