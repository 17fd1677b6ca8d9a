"""The Generate tab's settings: the prompts, the style, then all others in rows."""

import gradio as gr

from ksh_studio.config import MAX_PROMPT_CHARACTERS, GenerateConfig
from ksh_studio.marks import Group, in_group
from ksh_studio.ui.parts.form import Form, field, fields
from ksh_studio.ui.parts.languages import page_text

GROUPS: tuple[Group, ...] = ("sampling", "pictures", "size", "machine")
"""Groups of settings besides the prompts and the style, in the order in which they stand."""
FORM = in_group(GenerateConfig, "prompts", "style", *GROUPS)
"""Every setting of the form; what is left of `GenerateConfig` belongs to the project."""
ROW = 2


def build_prompts() -> Form:
    """The two prompts, by the setting's name."""
    return {
        "prompt": field("generate", "prompt", lines=3, max_length=MAX_PROMPT_CHARACTERS),
        "negative_prompt": field("generate", "negative_prompt", lines=2, max_length=MAX_PROMPT_CHARACTERS),
    }


def build_style() -> Form:
    """The LoRA and its strength, by the setting's name; the menu is filled once the project is known."""
    lora = gr.Dropdown(
        [(page_text("generate_tab.no_lora"), "")],
        value="",
        allow_custom_value=True,
        label=page_text("settings.generate.lora"),
        info=page_text("generate_tab.lora_info"),
        elem_id="generate-lora",
    )
    return {"lora": lora, "lora_scale": field("generate", "lora_scale", minimum=0.0, maximum=2.0, step=0.05)}


def build_others() -> Form:
    """All other settings, group by group in rows, by the setting's name."""
    form: Form = {}
    for group in GROUPS:
        names = in_group(GenerateConfig, group)
        for start in range(0, len(names), ROW):
            with gr.Row():
                form |= fields("generate", *names[start : start + ROW])
    return form
