"""The Caption tab's settings: a preset, the captioner and which drawings, then all others."""

import gradio as gr

from ksh_studio.config import CaptionConfig
from ksh_studio.marks import in_group
from ksh_studio.models.registry import captioners
from ksh_studio.presets import CAPTION_PRESETS
from ksh_studio.ui.access.guard import filling
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.model_choice import field_with_choices
from ksh_studio.ui.parts.form import Form, fields, form_values
from ksh_studio.ui.parts.languages import page_text
from ksh_studio.ui.parts.outputs import QUIET

ROW = 3


def build_settings(studio: Studio) -> Form:
    """Build the preset and a component for every setting of captioning; returns those by the setting's name."""
    preset = gr.Radio(
        [(page_text(f"caption_tab.preset_{name}"), name) for name in CAPTION_PRESETS],
        value="recommended",
        label=page_text("train_tab.preset"),
        info=page_text("caption_tab.preset_info"),
        elem_id="caption-preset",
    )
    with gr.Row():
        choices = [(entry.label, entry.name) for entry in captioners()]
        form: Form = {"captioner": field_with_choices("caption", "captioner", choices)}
        form |= fields("caption", *(name for name in in_group(CaptionConfig, "plain") if name not in form))
    with gr.Accordion(page_text("ui.advanced"), open=False):
        others = in_group(CaptionConfig, "wording")
        for start in range(0, len(others), ROW):
            with gr.Row():
                form |= fields("caption", *others[start : start + ROW])
    preset.input(inputs=preset, **filling(studio, "look", preset_values, form), **QUIET)
    return form


def preset_values(visit: Visit, preset: str) -> dict[str, object]:
    """What the form shows for a preset, by the setting's name; the settings that it does not name as they come."""
    return form_values(CaptionConfig(**CAPTION_PRESETS.get(preset, {})), CaptionConfig.model_fields)
