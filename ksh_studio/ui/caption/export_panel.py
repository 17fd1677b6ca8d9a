"""The row that exports drawings and captions for other programs, as one zip to download."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from ksh_studio.config import ExportFormat
from ksh_studio.drawings.exporting import EXPORT_FORMATS, export
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Progress
from ksh_studio.locales import translate
from ksh_studio.ui.access.guard import emptied_before_raised, filling
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.caption.view import export_report
from ksh_studio.ui.parts.events import event_bar
from ksh_studio.ui.parts.languages import page_text
from ksh_studio.ui.parts.markup import link, notes
from ksh_studio.ui.parts.theme import html
from ksh_studio.ui.server.files import download_folder, file_url

WORK: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 2}


def build_export_panel(studio: Studio, slug: gr.Textbox) -> None:
    """Build the row's components and events."""
    choices = [(page_text(f"caption_tab.export_{_in_names(name)}"), name) for name in EXPORT_FORMATS]
    format_menu = gr.Dropdown(
        choices, value="imagefolder", label=page_text("caption_tab.export_as"), elem_id="export-kind", filterable=False
    )
    button = gr.Button(page_text("caption_tab.export"), elem_id="export-start")
    report = html("export-ready")
    button.click(inputs=[slug, format_menu], **filling(studio, "export", export_drawings, report), **WORK)


def export_drawings(visit: Visit, slug: str, export_format: ExportFormat) -> Iterator[str]:
    """Write the drawings and captions into a zip; yields the progress, then the warnings and the link to it."""
    project = visit.project(slug)
    if export_format not in EXPORT_FORMATS:
        raise StudioError("caption_tab.bad_call")
    target = download_folder(project, "export") / f"{project.slug}-{_in_names(export_format)}.zip"
    target.unlink(missing_ok=True)
    yield event_bar(Progress(phase="export", done=0, total=0), visit.language)
    events: list[Event] = []
    for event in emptied_before_raised(export(project, target, export_format)):
        if isinstance(event, str):
            yield event
        elif isinstance(event, Progress):
            yield event_bar(event, visit.language)
        else:
            events.append(event)
    report = export_report(events, visit.language)
    if target.is_file():
        download = translate("ui.download", visit.language)
        report = notes([report, link(file_url(project, "export", target.name), download, target.name)])
    yield report


def _in_names(export_format: ExportFormat) -> str:
    """The format as it stands in keys of sentences and in file names."""
    return export_format.replace(".", "_")
