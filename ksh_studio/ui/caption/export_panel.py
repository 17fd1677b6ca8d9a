"""The row that exports drawings and captions for other programs, as one zip to download."""

import gradio as gr

from ksh_studio.config import ExportConfig, ExportFormat, ExportNames
from ksh_studio.drawings.exporting import EXPORT_FORMATS, EXPORT_NAMES
from ksh_studio.errors import StudioError
from ksh_studio.jobs.start import start_job
from ksh_studio.locales import translate
from ksh_studio.project.catalogue.counting import drawings_of
from ksh_studio.ui.access.guard import filling, guarded
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.caption.drawing_jobs import (
    DrawingJobParts,
    build_drawing_job,
    resume_drawing_job,
    stop_drawing_jobs,
)
from ksh_studio.ui.parts.languages import page_text
from ksh_studio.ui.parts.markup import bar
from ksh_studio.ui.parts.outputs import QUIET


def build_export_panel(studio: Studio, slug: gr.Textbox) -> tuple[gr.Row, DrawingJobParts]:
    """Build the row's components and events; returns the row, and what shows how far an export is."""
    choices = [(page_text(f"caption_tab.export_{name.replace('.', '_')}"), name) for name in EXPORT_FORMATS]
    with gr.Row(elem_classes="ksh-actions") as row:
        format_menu = gr.Dropdown(
            choices,
            value="imagefolder",
            label=page_text("caption_tab.export_as"),
            elem_id="export-kind",
            filterable=False,
        )
        names_menu = gr.Dropdown(
            [(page_text(f"caption_tab.export_names_{name}"), name) for name in EXPORT_NAMES],
            value="original",
            label=page_text("caption_tab.export_names"),
            elem_id="export-names",
            filterable=False,
        )
        button = gr.Button(page_text("caption_tab.export"), elem_id="export-start")
    job = build_drawing_job("export")
    button.click(
        inputs=[slug, format_menu, names_menu], **filling(studio, "export", export_drawings, job.status), **QUIET
    )
    job.stop.click(guarded(studio, "export", stop_export), slug, None, **QUIET)
    job.resume.click(inputs=slug, **filling(studio, "export", resume_export, job.status), **QUIET)
    return row, job


def export_drawings(visit: Visit, slug: str, export_format: ExportFormat, names: ExportNames = "original") -> str:
    """Start to write the drawings and captions into a zip."""
    project = visit.project(slug)
    if export_format not in EXPORT_FORMATS or names not in EXPORT_NAMES:
        raise StudioError("caption_tab.bad_call")
    if not drawings_of(project).total:
        raise StudioError("export.nothing")
    start_job(project, "export", ExportConfig(format=export_format, names=names))
    return bar(0, 0, translate("ui.starting", visit.language))


def stop_export(visit: Visit, slug: str) -> None:
    """Ask the project's exports to stop; nothing of them is left."""
    stop_drawing_jobs(visit, slug, "export")


def resume_export(visit: Visit, slug: str) -> str:
    """Begin the export again that ended unexpectedly or failed."""
    return resume_drawing_job(visit, slug, "export")
