"""The panel that imports drawings and captions: files dropped on the page, or a folder of the studio's machine."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from ksh_studio.drawings.importing import import_drawings
from ksh_studio.errors import StudioError
from ksh_studio.events import Progress
from ksh_studio.paths import typed_path
from ksh_studio.project.workspace import Project
from ksh_studio.ui.access.guard import emptied_before_raised, filling
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.caption.view import import_report
from ksh_studio.ui.parts.events import event_bar
from ksh_studio.ui.parts.languages import page_text
from ksh_studio.ui.parts.markup import notes
from ksh_studio.ui.parts.outputs import UNCHANGED, Unchanged
from ksh_studio.ui.parts.theme import html

SUFFIXES = [".zip", ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".csv", ".jsonl", ".txt"]
WORK: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 2}


@dataclass(frozen=True)
class ImportPanel:
    """The panel's components."""

    files: gr.File
    folder: gr.Textbox
    import_folder: gr.Button
    report: gr.HTML


@dataclass(frozen=True)
class Importing:
    """What an import of files changes on the panel."""

    report: str | Unchanged = UNCHANGED
    files: None | Unchanged = UNCHANGED
    """None empties the field, so that the next files can be dropped."""


def build_import_panel(studio: Studio, slug: gr.Textbox) -> ImportPanel:
    """Build the panel's components and events."""
    files = gr.File(
        file_count="multiple",
        file_types=SUFFIXES,
        label=page_text("caption_tab.files"),
        elem_id="import-files",
        height=130,
    )
    with gr.Row(elem_classes="ksh-bar"):
        folder = gr.Textbox(
            label=page_text("caption_tab.folder"),
            info=page_text("caption_tab.folder_info"),
            elem_id="import-folder",
            max_lines=1,
            scale=4,
        )
        button = gr.Button(page_text("caption_tab.import_folder"), elem_id="import-read", scale=1, min_width=120)
    panel = ImportPanel(files, folder, button, html("import-report"))
    files.upload(inputs=[slug, files], **filling(studio, "import", import_files, panel), **WORK)
    button.click(inputs=[slug, folder], **filling(studio, "server_path", import_folder, panel.report), **WORK)
    return panel


def import_files(visit: Visit, slug: str, files: list[str]) -> Iterator[Importing]:
    """Import uploaded drawings, caption files or zips; yields the progress, then the report."""
    try:
        for report in _import(visit, visit.project(slug), [Path(file) for file in files or []]):
            yield Importing(report)
    except StudioError:
        yield Importing("", files=None)
        raise
    yield Importing(files=None)


def import_folder(visit: Visit, slug: str, folder: str) -> Iterator[str]:
    """Import a folder of the machine that the studio runs on; yields the progress, then the report."""
    if not (folder or "").strip():
        raise StudioError("caption_tab.no_folder")
    yield from _import(visit, visit.project(slug), typed_path(folder))


def _import(visit: Visit, project: Project, source: Path | list[Path]) -> Iterator[str]:
    reports = []
    yield event_bar(Progress(phase="import", done=0, total=0), visit.language)
    for event in emptied_before_raised(import_drawings(source, project)):
        if isinstance(event, str):
            yield event
        elif isinstance(event, Progress):
            yield event_bar(event, visit.language)
        else:
            reports.append(import_report(event, visit.language))
    yield notes(reports)
