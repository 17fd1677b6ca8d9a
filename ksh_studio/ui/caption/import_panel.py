"""The panel that imports drawings and captions: dropped on the page, picked, or in a folder of the studio's machine."""

import json
import shutil
from dataclasses import dataclass
from typing import TypedDict

import gradio as gr
from pydantic import StrictStr, TypeAdapter, ValidationError

from ksh_studio.config import ImportConfig
from ksh_studio.disk import disk_errors
from ksh_studio.drawings.file_kinds import ARCHIVES, PICTURES
from ksh_studio.drawings.sources import SIDECARS, TABLES
from ksh_studio.drawings.stage import uploaded_names
from ksh_studio.errors import StudioError
from ksh_studio.jobs.start import begin_job, create_job, start_job
from ksh_studio.locales import translate
from ksh_studio.paths import typed_path
from ksh_studio.ui.access.guard import filling, guarded, guarded_call
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.caption.drawing_jobs import (
    DrawingJobParts,
    build_drawing_job,
    resume_drawing_job,
    stop_drawing_jobs,
)
from ksh_studio.ui.parts.languages import json_texts, page_text, script
from ksh_studio.ui.parts.markup import bar
from ksh_studio.ui.parts.outputs import QUIET
from ksh_studio.ui.server.uploads import upload_folder

SENT_WHOLE = sorted(PICTURES | ARCHIVES | SIDECARS | TABLES)
"""Endings of files that are sent to the studio; of others only the beginning is, by which it says what they are."""
_IMPORT_CALL = TypeAdapter(tuple[StrictStr, StrictStr])
ZONE = (
    '<div class="ksh-drop"><span class="ksh-drop-text"></span> <button type="button" class="ksh-pick"></button>'
    ' <button type="button" class="ksh-pick"></button><input type="file" multiple hidden>'
    '<input type="file" webkitdirectory hidden><p class="ksh-drop-state" role="status"></p></div>'
)


class Begun(TypedDict):
    """The import of what was sent has begun."""

    job: str


@dataclass(frozen=True)
class ImportPanel:
    """The panel's components."""

    zone: gr.HTML
    by_path: gr.Accordion
    folder: gr.Textbox
    job: DrawingJobParts


def build_import_panel(studio: Studio, slug: gr.Textbox) -> ImportPanel:
    """Build the panel's components and events."""
    zone = gr.HTML(
        html_template=ZONE,
        js_on_load=script("drop.js", texts=json_texts("caption_tab.drop_"), whole=json.dumps(SENT_WHOLE)),
        server_functions=[guarded_call(studio, "import", ksh_import)],
        elem_id="import-drop",
    )
    with gr.Accordion(page_text("caption_tab.folder"), open=False, elem_id="caption-import") as by_path:
        with gr.Row(elem_classes="ksh-bar"):
            folder = gr.Textbox(
                label=page_text("caption_tab.folder"),
                info=page_text("caption_tab.folder_info"),
                elem_id="import-folder",
                max_lines=1,
                scale=4,
            )
            button = gr.Button(page_text("caption_tab.import_folder"), elem_id="import-read", scale=1, min_width=120)
    job = build_drawing_job("import")
    button.click(inputs=[slug, folder], **filling(studio, "server_path", import_folder, job.status), **QUIET)
    job.stop.click(guarded(studio, "import", stop_import), slug, None, **QUIET)
    job.resume.click(inputs=slug, **filling(studio, "import", resume_import, job.status), **QUIET)
    return ImportPanel(zone, by_path, folder, job)


def ksh_import(visit: Visit, call: object) -> Begun:
    """`[project, upload]`: import the files that were sent under this name. Raises StudioError when there are none."""
    try:
        slug, upload = _IMPORT_CALL.validate_python(call)
    except ValidationError as error:
        raise StudioError("caption_tab.bad_call") from error
    project = visit.project(slug)
    folder = upload_folder(project, upload)
    if not uploaded_names(folder):
        raise StudioError("import.nothing_chosen")
    job = create_job(project, "import", ImportConfig())
    with disk_errors(job.uploads):
        folder.rename(job.uploads)
        try:
            begin_job(job)
        except StudioError:  # the page may ask again
            job.uploads.rename(folder)
            shutil.rmtree(job.folder)
            raise
    return {"job": job.id}


def import_folder(visit: Visit, slug: str, folder: str) -> str:
    """Start the import of a folder, zip or picture of the machine that the studio runs on."""
    if not (folder or "").strip():
        raise StudioError("caption_tab.no_folder")
    path = typed_path(folder)
    if not path.exists():
        raise StudioError("import.not_there", path=path)
    start_job(visit.project(slug), "import", ImportConfig(sources=(str(path),)))
    return bar(0, 0, translate("ui.starting", visit.language))


def stop_import(visit: Visit, slug: str) -> None:
    """Ask the project's imports to stop after what they have read."""
    stop_drawing_jobs(visit, slug, "import")


def resume_import(visit: Visit, slug: str) -> str:
    """Go on with the import that ended unexpectedly or failed."""
    return resume_drawing_job(visit, slug, "import")
