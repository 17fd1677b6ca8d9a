"""The head of the page: its right side with language, appearance, help and files, and the sheets of the last two.

The left side is the project's (`project_bar`). Between them stand the tabs themselves, each with how far its stage is:
the grid of `studio.css` puts all three into one line.
"""

from dataclasses import dataclass

import gradio as gr
from gradio.blocks import Block

from ksh_studio.locales import LANGUAGES, translate
from ksh_studio.ui.access.roles import Action
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.languages import json_texts, page_text, script
from ksh_studio.ui.parts.markup import copy_line, element, folder_icon, joined
from ksh_studio.ui.parts.sheet import sheet, sheet_button
from ksh_studio.ui.parts.theme import html

LANGUAGE_NAMES = {"en": "English", "ko": "한국어"}
HELP = ("steps", "words", "keys")


@dataclass(frozen=True)
class Head:
    """What the page fills of the head's right side."""

    language: gr.Radio
    workspace: gr.HTML
    """Where the files are."""
    restricted: list[tuple[Block, Action]]


def build_head() -> Head:
    """Build the right side, and the sheets that it opens."""
    with gr.Row(elem_id="head-tools"):
        language = gr.Radio(
            [(LANGUAGE_NAMES[code], code) for code in LANGUAGES],
            value="en",
            show_label=False,
            container=False,
            elem_id="language",
            scale=0,
            min_width=150,
        )
        appearance = element("button", "◐", type="button", class_="ksh-icon", data_appearance=True)
        buttons = joined([appearance, sheet_button("help", "?"), sheet_button("files", folder_icon())])
        html("head-buttons", value=buttons, js_on_load=script("sheet.js", texts=json_texts("ui.sheet_")), min_width=150)
    with sheet("help", "ui.sheet_help"):
        gr.Markdown(page_text("ui.tagline"), elem_classes="ksh-intro")
        for part in HELP:
            gr.Markdown(page_text(f"ui.help_{part}"))
    with sheet("files", "ui.sheet_files") as files:
        workspace = html("workspace-path")
    return Head(language, workspace, [(files, "server_path")])


def workspace_path(visit: Visit) -> str:
    """Where everything lies, to read and to copy; empty for those who may not name a path here."""
    if not visit.may("server_path"):
        return ""
    title, copy = (translate(f"ui.{key}", visit.language) for key in ("workspace", "copy"))
    return copy_line(title, str(visit.workspace.root), copy)
