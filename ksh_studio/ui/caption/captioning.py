"""The buttons that start and stop captioning and undo a change, and what the page shows of the captioning job."""

from dataclasses import dataclass

import gradio as gr

from ksh_studio.config import CaptionConfig
from ksh_studio.errors import StudioError
from ksh_studio.jobs.folder import Job, jobs_of, running_job
from ksh_studio.jobs.requests import stop_job
from ksh_studio.jobs.start import start_job
from ksh_studio.jobs.status import job_status
from ksh_studio.locales import Language, sentence, translate
from ksh_studio.models.registry import captioner_entry
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.project.catalogue.counting import drawings_of, require_catalogue, unlisted
from ksh_studio.project.workspace import Project
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.caption.view import counts_and_trigger, job_state
from ksh_studio.ui.model_choice import captioner_of, known_models_only
from ksh_studio.ui.parts.form import config_from
from ksh_studio.ui.parts.languages import page_text
from ksh_studio.ui.parts.markup import Html, bar, note, notes
from ksh_studio.ui.parts.messages import done
from ksh_studio.ui.parts.outputs import UNCHANGED, Unchanged, Update, visible
from ksh_studio.ui.parts.theme import html

DRAWINGS_A_STAMP = 500
"""While drawings are imported, what depends on them is made anew when so many more have come."""


@dataclass(frozen=True)
class CaptioningParts:
    """The components that `watch.poll` fills, under the names of `CaptioningShown`."""

    summary: gr.HTML
    start: gr.Button
    stop: gr.Button
    status: gr.HTML
    stamp: gr.Textbox
    """Changes whenever drawings or captions do; other parts of the page are made anew then."""
    state: gr.Textbox
    """Changes when something does of which a refusal may have spoken; the message of the refusal goes then."""


@dataclass(frozen=True)
class CaptioningShown:
    """What the page shows of the project's drawings and of its captioning job."""

    summary: str | Unchanged = UNCHANGED
    start: Update | Unchanged = UNCHANGED
    stop: Update | Unchanged = UNCHANGED
    status: str | Unchanged = UNCHANGED
    stamp: str | Unchanged = UNCHANGED
    state: str | Unchanged = UNCHANGED


def build_captioning() -> tuple[CaptioningParts, gr.Button]:
    """Build the components; returns those that `watch.poll` fills, and the button Undo."""
    summary = html("caption-about")
    with gr.Row(elem_classes="ksh-actions"):
        start = gr.Button(page_text("caption_tab.start"), variant="primary", elem_id="caption-start")
        stop = gr.Button(page_text("ui.stop"), variant="stop", elem_id="caption-stop", visible=False)
        undo = gr.Button(page_text("caption_tab.undo"), elem_id="caption-undo")
    status = html("caption-status")
    stamp = gr.Textbox(visible="hidden", elem_id="caption-stamp", label="stamp", container=False)
    state = gr.Textbox(visible="hidden", elem_id="page-state", label="state", container=False)
    return CaptioningParts(summary, start, stop, status, stamp, state), undo


def caption(visit: Visit, slug: str, **values: object) -> str:
    """Start captioning with the form's settings."""
    project = visit.project(slug)
    captioner = captioner_of(visit, project, str(values.get("captioner") or ""))
    known_models_only(visit, captioner)
    captioner_entry(captioner)  # what cannot be a captioner is refused here, not in the job
    config = config_from(CaptionConfig, values | {"captioner": captioner})
    require_catalogue(project)
    if not drawings_of(project).total:
        raise StudioError("captions.no_drawings")
    if visit.role == "visitor" and visit.studio.worker.busy:  # perhaps somebody else's picture: it is drawn to its end
        raise StudioError("device.drawing")
    visit.studio.worker.end()
    start_job(project, "caption", config)
    return bar(0, 0, translate("ui.starting", visit.language))


def stop_captioning(visit: Visit, slug: str) -> None:
    """Ask the captioner to stop after the drawings that it is at."""
    job = _newest_job(visit.project(slug))
    if job is not None:
        stop_job(job)


def undo_caption_change(visit: Visit, slug: str) -> str:
    """Undo the last change of captions in this project; returns the message that it was done.

    Raises StudioError when there is nothing to undo.
    """
    with Catalogue(visit.project(slug)) as catalogue:
        if not catalogue.undo():
            raise StudioError("caption_tab.nothing_to_undo")
    return done(sentence("caption_tab.undone"))


def show_captioning(visit: Visit, project: Project, importing: bool) -> CaptioningShown:
    """The counts and the captioning job right now; importing: whether drawings are coming in."""
    language = visit.language
    summary, has, total = _drawings(project, language)
    job, status, working = _newest_job(project), "", False
    if job is not None:
        state = job_status(job)
        working = state.alive
        status = job_state(visit.studio.histories.of(job), state, language, with_log=visit.may("read_log"))
    counted: object = summary
    if importing:  # the grid and the plan for a training are not made anew with every group of drawings
        counted = total // DRAWINGS_A_STAMP
    stamp, may = f"{project.slug}|{language}|{counted}|{status}|{working}", visit.may("caption")
    job_now = running_job(project.workspace)
    state_now = f"{project.slug}|{has}|{'' if job_now is None else job_now.id}"
    return CaptioningShown(summary, visible(may and not working), visible(may and working), status, stamp, state_now)


def _drawings(project: Project, language: Language) -> tuple[Html, str, int]:
    """The counts, or why they are not known, which says nothing of captioning; what there is; the number."""
    try:
        count = drawings_of(project)
        lost = [note(unlisted(project, count).text(language), "bad")] if count.unlisted else []
        if lost and not count.total:
            return notes(lost), "lost", 0
        has = f"drawings {count.total > 0}, captions {count.captioned > 0}"
        return notes([*lost, counts_and_trigger(count, project.settings().trigger, language)]), has, count.total
    except StudioError as error:
        return note(error.text(language), "bad"), "unknown", 0


def _newest_job(project: Project) -> Job | None:
    return next(iter(jobs_of(project, "caption")), None)
