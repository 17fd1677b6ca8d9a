"""The Train tab's settings: presets that follow the number of drawings, the plain ones, then all others in groups."""

from typing import Any

import gradio as gr

from ksh_studio.config import TrainConfig
from ksh_studio.models.registry import base_entry
from ksh_studio.presets import TRAIN_PRESETS
from ksh_studio.training.plan.preset import FittedPreset, fitted_preset
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.model_choice import base_of
from ksh_studio.ui.parts.form import Form, fields, form_values, open_fields
from ksh_studio.ui.parts.languages import t

PLAIN = ("name", "max_train_steps", "rank", "learning_rate", "resolution", "random_flip")
WORDS = ("validation_prompts",)
GROUPS: dict[str, tuple[str, ...]] = {
    "amounts": ("num_train_epochs", "train_batch_size", "gradient_accumulation_steps", "checkpointing_steps",
                "validation_steps", "validation_share", "seed"),
    "drawings": ("crop", "noise_offset"),
    "lora": ("adapter", "target_modules", "lora_alpha", "ema_decay", "init_lora"),
    "text": ("caption_dropout", "shuffle_tags", "keep_tags", "train_text_encoder", "text_encoder_lr", "clip_skip"),
    "optimiser": ("optimizer", "lr_scheduler", "lr_warmup_steps", "snr_gamma", "max_grad_norm", "adam_weight_decay",
                  "adam_beta1", "adam_beta2"),
    "machine": ("gradient_checkpointing", "mixed_precision", "attention", "num_processes", "report_to"),
}  # fmt: skip
BEHIND_THE_PRESET = ("effort",)
"""Set by choosing a preset."""
HIDDEN = ("base_model",)
"""Belongs to the project."""
ADVANCED = tuple(name for group in GROUPS.values() for name in group)
FORM = PLAIN + WORDS + ADVANCED + BEHIND_THE_PRESET
OPEN = tuple(open_fields("train", FORM))
AMOUNTS = ("max_train_steps", "num_train_epochs", "effort")
TOUCHED = tuple(name for name in FORM if name in {*AMOUNTS, *(key for one in TRAIN_PRESETS.values() for key in one)})
"""What choosing a preset sets, or sets back; what no preset names stays as the artist left it."""
ROW = 3


def preset_radio() -> gr.Radio:
    """The presets; what each will take is filled in by `train_plan.show_presets`."""
    return gr.Radio(
        [(t(f"train_tab.preset_{name}"), name) for name in TRAIN_PRESETS],
        value="balanced",
        label=t("train_tab.preset"),
        info=t("train_tab.preset_info"),
        elem_id="train-preset",
    )


def settings_form() -> Form:
    """Every setting of a training, by name."""
    form: Form = {}
    _rows(form, PLAIN)
    _rows(form, WORDS)
    with gr.Accordion(t("ui.advanced"), open=False, elem_id="train-advanced"):
        for group, names in GROUPS.items():
            gr.Markdown(t(f"train_tab.group_{group}"), elem_classes="ksh-group")
            _rows(form, names)
    with gr.Row(visible=False):
        form |= fields("train", *BEHIND_THE_PRESET)
    return form


def _rows(form: Form, names: tuple[str, ...]) -> None:
    for start in range(0, len(names), ROW):
        with gr.Row():
            form |= fields("train", *names[start : start + ROW])


def preset_for(visit: Visit, slug: str, name: str) -> FittedPreset:
    """The preset as the project's base model can use it. Raises StudioError when that model is not there."""
    return fitted_preset(name, base_entry(base_of(visit, visit.project(slug))))


def fill(visit: Visit, slug: str, preset: str) -> dict[str, Any]:
    """The settings that presets are about, as this one has them on the project's base model."""
    values = preset_for(visit, slug, preset).settings if slug else TRAIN_PRESETS.get(preset, {})
    return form_values(TrainConfig(**values), TOUCHED)
