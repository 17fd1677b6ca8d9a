"""A sheet: a panel that a button with `data-sheet` opens at the right side of the page (`assets/js/sheet.js`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from ksh_studio.ui.parts.languages import page_text
from ksh_studio.ui.parts.markup import Html, element
from ksh_studio.ui.parts.outputs import QUIET

CLOSE_SHEET: dict[str, Any] = {"fn": None, "js": "() => { window.kshSheet.close(); return []; }", **QUIET}
"""An event that closes the sheet, after what it was opened for is done."""


@contextmanager
def sheet(name: str, title: str) -> Iterator[gr.Column]:
    """Build the parts of a sheet inside this block; name: its `elem_id`; title: the key of its heading."""
    with gr.Column(elem_id=name, elem_classes="ksh-sheet-beside") as column:
        with gr.Row(elem_classes="ksh-sheet-head"):
            gr.Markdown(f"## {page_text(title)}")
            gr.HTML(element("button", "✕", type="button", class_="ksh-icon", data_sheet_close=True), min_width=44)
        yield column


def sheet_button(name: str, icon: object) -> Html:
    """A button with a picture on it that opens the sheet of this name; the script says in words what it opens."""
    return element("button", icon, type="button", class_="ksh-icon", data_sheet=name, aria_haspopup="dialog")
