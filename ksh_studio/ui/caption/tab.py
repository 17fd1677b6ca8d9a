"""The Caption tab: drawings come in, captions are written and edited beside them, and both go out again."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from ksh_studio.config import CaptionConfig
from ksh_studio.drawings.exporting import export
from ksh_studio.drawings.importing import import_drawings
from ksh_studio.errors import StudioError
from ksh_studio.events import Progress
from ksh_studio.jobs.folder import Job, jobs_of
from ksh_studio.jobs.requests import stop_job
from ksh_studio.jobs.start import start_job
from ksh_studio.jobs.status import job_status
from ksh_studio.locales import translate
from ksh_studio.models.registry import captioner_entry, captioners
from ksh_studio.presets import CAPTION_PRESETS
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.project.workspace import Project
from ksh_studio.ui.access.guard import filling, guarded, guarded_call, shown_before_raised
from ksh_studio.ui.access.roles import Action
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.caption.grid import ksh_rows, ksh_save
from ksh_studio.ui.caption.view import exported, job_line, progress_bar, report, summary
from ksh_studio.ui.model_choice import captioner_of, field_with_choices, known_models_only
from ksh_studio.ui.parts.form import Form, config_from, fields, form_values
from ksh_studio.ui.parts.languages import json_texts, script, t
from ksh_studio.ui.parts.markup import bar
from ksh_studio.ui.parts.theme import html
from ksh_studio.ui.server.files import outgoing

QUIET: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
WORK: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 2}
ADVANCED = tuple(name for name in CaptionConfig.model_fields if name not in ("captioner", "overwrite"))
FORM = ("captioner", "overwrite", *ADVANCED)
EXPORTS = ("imagefolder", "info.csv", "txt", "kohya")
SUFFIXES = [".zip", ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".csv", ".jsonl", ".txt"]
SHOWN = ("all", "empty", "auto", "person")


@dataclass(frozen=True)
class CaptionTab:
    """What `app.py` wires to other tabs."""

    restricted: list[tuple[gr.blocks.Block, Action]]
    stamp: gr.Textbox
    """Changes whenever drawings or captions do."""


@dataclass(frozen=True)
class _Imports:
    files: gr.File
    folder: gr.Textbox
    read: gr.Button
    said: gr.HTML


def build(studio: Studio, slug: gr.Textbox, timer: gr.Timer) -> CaptionTab:
    """Build the tab's components and events."""
    gr.Markdown(t("caption_tab.intro"), elem_classes="ksh-intro")
    with gr.Accordion(t("caption_tab.import"), open=False, elem_id="caption-import") as bringing:
        imports = _imports()
    about = html("caption-about")
    with gr.Row(elem_classes="ksh-actions"):
        start = gr.Button(t("caption_tab.start"), variant="primary", elem_id="caption-start")
        stop = gr.Button(t("ui.stop"), variant="stop", elem_id="caption-stop", visible=False)
        undo = gr.Button(t("caption_tab.undo"), elem_id="caption-undo")
    status = html("caption-status")
    with gr.Accordion(t("ui.settings"), open=False, elem_id="caption-settings") as settings:
        form, preset = _form()
    shows = _grid(studio)
    with gr.Row(elem_classes="ksh-actions") as leaving:
        _leaving(studio, slug)
    stamp = gr.Textbox(visible="hidden", elem_id="caption-stamp", label="stamp", container=False)
    seen = gr.State("")

    begin = guarded(studio, "caption", caption)
    start.click(begin, slug, status, inputs_kwargs=form, api_name="caption", queue=False, show_progress="hidden")
    stop.click(guarded(studio, "stop_captioning", halt), slug, None, **QUIET)
    undone = undo.click(guarded(studio, "edit_captions", take_back), slug, status, **QUIET)
    shown = [seen, stamp, about, status, start, stop]
    timer.tick(guarded(studio, "look", poll), [slug, seen], shown, **QUIET)
    preset.input(inputs=preset, **filling(studio, "look", fill, form), **QUIET)
    bring, read = guarded(studio, "import", bring_files), guarded(studio, "server_path", bring_folder)
    imports.files.upload(bring, [slug, imports.files], [imports.said, imports.files], **WORK)
    imports.read.click(read, [slug, imports.folder], imports.said, **WORK)
    look: dict[str, Any] = {"js": script("show_grid.js"), **QUIET}
    gr.on([slug.change, stamp.change, *(part.change for part in shows)], None, [slug, *shows], None, **look)
    undone.then(None, [slug, *shows], None, **look)
    restricted: list[tuple[gr.blocks.Block, Action]] = [
        (bringing, "import"), (imports.folder, "server_path"), (imports.read, "server_path"), (start, "caption"),
        (undo, "edit_captions"), (settings, "caption"), (leaving, "export"),
    ]  # fmt: skip
    return CaptionTab(restricted, stamp)


def _grid(studio: Studio) -> list[gr.components.Component]:
    """The drawings with their captions; returns what narrows them down."""
    with gr.Row(elem_classes="ksh-search"):
        query = gr.Textbox(label=t("caption_tab.search"), elem_id="caption-search", max_lines=1, min_width=280)
        choices = [(t(f"caption_tab.show_{name}"), name) for name in SHOWN]
        which = gr.Radio(choices, value="all", label=t("caption_tab.show"), elem_id="caption-show", min_width=300)
    gr.HTML(
        html_template='<div class="ksh-view"><div></div></div><p class="ksh-none"></p>',
        js_on_load=script("grid.js", texts=json_texts("caption_tab.grid_")),
        server_functions=[guarded_call(studio, "look", ksh_rows), guarded_call(studio, "edit_captions", ksh_save)],
        elem_id="caption-grid",
    )
    return [query, which]


def _leaving(studio: Studio, slug: gr.Textbox) -> None:
    kinds = [(t(f"caption_tab.export_{_plain(name)}"), name) for name in EXPORTS]
    kind = gr.Dropdown(
        kinds, value="imagefolder", label=t("caption_tab.export_as"), elem_id="export-kind", filterable=False
    )
    export = gr.Button(t("caption_tab.export"), elem_id="export-start")
    ready = html("export-ready")
    export.click(guarded(studio, "export", send_out), [slug, kind], ready, **WORK)


def _plain(name: str) -> str:
    return name.replace(".", "_")


def _imports() -> _Imports:
    files = gr.File(
        file_count="multiple", file_types=SUFFIXES, label=t("caption_tab.files"), elem_id="import-files", height=130
    )
    with gr.Row(elem_classes="ksh-bar"):
        folder = gr.Textbox(label=t("caption_tab.folder"), info=t("caption_tab.folder_info"), elem_id="import-folder",
                            max_lines=1, scale=4)  # fmt: skip
        read = gr.Button(t("caption_tab.read_folder"), elem_id="import-read", scale=1, min_width=120)
    return _Imports(files, folder, read, html("import-said"))


def _form() -> tuple[Form, gr.Radio]:
    preset = gr.Radio(
        [(t(f"caption_tab.preset_{name}"), name) for name in CAPTION_PRESETS],
        value="recommended",
        label=t("train_tab.preset"),
        info=t("caption_tab.preset_info"),
        elem_id="caption-preset",
    )
    with gr.Row():
        form: Form = {
            "captioner": field_with_choices("caption", "captioner", [(c.label, c.name) for c in captioners()]),
        }
        form |= fields("caption", "overwrite")
    with gr.Accordion(t("ui.advanced"), open=False):
        for start in range(0, len(ADVANCED), 3):
            with gr.Row():
                form |= fields("caption", *ADVANCED[start : start + 3])
    return form, preset


def fill(visit: Visit, preset: str) -> dict[str, Any]:
    """The form as a preset has it."""
    return form_values(CaptionConfig(**CAPTION_PRESETS.get(preset, {})), FORM)


def bring_files(visit: Visit, slug: str, files: list[str]) -> Iterator[tuple[str, Any]]:
    """Import uploaded drawings, caption files or zips; yields the progress, then the report."""
    for said in _bring(visit, visit.project(slug), [Path(file) for file in files or []]):
        yield said, gr.skip()
    yield gr.skip(), None


def bring_folder(visit: Visit, slug: str, folder: str) -> Iterator[str]:
    """Import a folder of the machine the studio runs on."""
    if not (folder or "").strip():
        raise StudioError("caption_tab.no_folder")
    yield from _bring(visit, visit.project(slug), Path(folder.strip()).expanduser())


def _bring(visit: Visit, project: Project, source: Path | list[Path]) -> Iterator[str]:
    said = []
    yield progress_bar(Progress(phase="import", done=0, total=0), visit.language)
    with_reason = shown_before_raised(import_drawings(source, project), visit.language)
    for event in with_reason:
        if isinstance(event, str):
            yield event
        elif isinstance(event, Progress):
            yield progress_bar(event, visit.language)
        else:
            said.append(report(event, visit.language))
    yield "".join(said)


def caption(visit: Visit, slug: str, **values: Any) -> str:
    """Start captioning with the form's settings."""
    project = visit.project(slug)
    captioner = captioner_of(visit, project, values.get("captioner") or "")
    known_models_only(visit, captioner)
    captioner_entry(captioner)  # what cannot be a captioner is refused here, not in the job
    config = config_from("caption", values | {"captioner": captioner})
    if visit.role == "visitor" and visit.studio.worker.busy:  # somebody else's picture, maybe: it is drawn to its end
        raise StudioError("device.drawing")
    visit.studio.worker.end()
    start_job(project, "caption", config)
    return bar(0, 0, translate("ui.starting", visit.language))


def _newest(project: Project) -> Job | None:
    return next(iter(jobs_of(project, "caption")), None)


def halt(visit: Visit, slug: str) -> None:
    """Ask the captioner to end after the drawings it is at."""
    job = _newest(visit.project(slug))
    if job is not None:
        stop_job(job)


def take_back(visit: Visit, slug: str) -> str:
    """Undo the last change of captions in this project."""
    with Catalogue(visit.project(slug)) as catalogue:
        undone = catalogue.undo()
    key = "caption_tab.undone" if undone else "caption_tab.nothing_to_undo"
    return bar(0, 0, translate(key, visit.language))


def poll(visit: Visit, slug: str, seen: str) -> list[Any]:
    """The counts and the captioning job; nothing is sent when nothing is new."""
    if not slug:
        return [gr.skip()] * 6
    project = visit.project(slug)
    about, job = summary(project, visit.language), _newest(project)
    alive = job is not None and job_status(job).alive
    line = job_line(visit, job) if job is not None else ""
    now = f"{slug}|{visit.language}|{about}|{line}|{alive}"
    if now == seen:
        return [gr.skip()] * 6
    may = visit.may("caption")
    return [now, now, about, line, gr.update(visible=may and not alive), gr.update(visible=may and alive)]


def send_out(visit: Visit, slug: str, kind: str) -> Iterator[str]:
    """Write the drawings and captions for other programs, as one zip to download."""
    project = visit.project(slug)
    if kind not in EXPORTS:
        raise StudioError("caption_tab.bad_call")
    target = outgoing(project, "export") / f"{project.slug}-{_plain(kind)}.zip"
    target.unlink(missing_ok=True)
    yield progress_bar(Progress(phase="export", done=0, total=0), visit.language)
    said = []
    for event in shown_before_raised(export(project, target, kind), visit.language):
        if isinstance(event, str):
            yield event
        elif isinstance(event, Progress):
            yield progress_bar(event, visit.language)
        else:
            said.append(event)
    yield exported(project, target, said, visit.language)
