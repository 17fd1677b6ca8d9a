"""The Caption tab: drawings come in, captions are written and edited beside them, and both go out again."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from ksh_studio.ui.access import Action, Studio
from ksh_studio.ui.languages import t

QUIET: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}


@dataclass(frozen=True)
class CaptionTab:
    """What `app.py` wires to other tabs."""

    restricted: list[tuple[gr.blocks.Block, Action]]


def build(studio: Studio, slug: gr.Textbox, timer: gr.Timer) -> CaptionTab:
    """Build the tab's components and events."""
    gr.Markdown(t("caption_tab.intro"), elem_classes="ksh-intro")
    return CaptionTab([])
