"""The settings on the Train tab: presets that follow the number of drawings, the plain ones, all others in groups."""

from typing import Any

import gradio as gr

from ksh_studio.config import TrainConfig
from ksh_studio.marks import Group, in_group
from ksh_studio.models.registry import base_entry
from ksh_studio.presets import TRAIN_PRESETS
from ksh_studio.training.plan.preset import FittedPreset, fitted_preset
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.model_choice import base_of
from ksh_studio.ui.parts.form import Form, fields, form_values, open_fields
from ksh_studio.ui.parts.languages import page_text

TITLED: tuple[Group, ...] = ("amounts", "drawings", "lora", "text", "optimiser", "machine")
"""Groups under "Advanced", each with a title."""
FORM = in_group(TrainConfig, "plain", "previews", *TITLED, "preset")
"""Every setting of the form; what is left of `TrainConfig` belongs to the project."""
OPEN = tuple(open_fields("train", FORM))
AMOUNTS = ("max_train_steps", "num_train_epochs", "effort")
PRESET_SETTINGS = {*AMOUNTS, *(name for preset in TRAIN_PRESETS.values() for name in preset)}
TOUCHED = tuple(name for name in FORM if name in PRESET_SETTINGS)
"""What choosing a preset sets, or sets back; what no preset names stays as the artist left it."""
ROW = 3


def preset_radio() -> gr.Radio:
    """The presets; what each will take is filled in by `train_plan.show_presets`."""
    return gr.Radio(
        [(page_text(f"train_tab.preset_{name}"), name) for name in TRAIN_PRESETS],
        value="balanced",
        label=page_text("train_tab.preset"),
        info=page_text("train_tab.preset_info"),
        elem_id="train-preset",
    )


def settings_form() -> Form:
    """Every setting of a training, by name."""
    form: Form = {}
    _rows(form, "plain")
    _rows(form, "previews")
    with gr.Accordion(page_text("ui.advanced"), open=False, elem_id="train-advanced"):
        for group in TITLED:
            gr.Markdown(page_text(f"train_tab.group_{group}"), elem_classes="ksh-group")
            _rows(form, group)
    with gr.Row(visible=False):
        _rows(form, "preset")
    return form


def _rows(form: Form, group: Group) -> None:
    names = in_group(TrainConfig, group)
    for start in range(0, len(names), ROW):
        with gr.Row():
            form |= fields("train", *names[start : start + ROW])


def preset_for(visit: Visit, slug: str, name: str) -> FittedPreset:
    """The preset as the project's base model can use it. Raises StudioError when that model is not there."""
    project = visit.project(slug)
    return fitted_preset(name, base_entry(base_of(visit, project)), project.settings().trigger.text)


def preset_values(visit: Visit, slug: str, preset: str, prompts: str) -> dict[str, Any]:
    """The settings that presets are about, as this one has them on the project's base model.

    prompts: the preview prompts in the form; those that a person typed stay.
    """
    presets = {name: preset_for(visit, slug, name).settings if slug else TRAIN_PRESETS[name] for name in TRAIN_PRESETS}
    values = form_values(TrainConfig(**presets.get(preset, {})), TOUCHED)
    if prompts.strip() not in {"\n".join(each.get("validation_prompts", ())) for each in presets.values()}:
        del values["validation_prompts"]
    return values
