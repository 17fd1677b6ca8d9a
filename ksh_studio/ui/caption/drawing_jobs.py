"""What the Caption tab shows of the project's imports and exports, which are jobs beside the captioning."""

from dataclasses import dataclass

import gradio as gr

from ksh_studio.config import ExportConfig
from ksh_studio.drawings.stage import exported_zip
from ksh_studio.errors import StudioError
from ksh_studio.jobs.describe import progress_text
from ksh_studio.jobs.folder import Job, StageName, jobs_of
from ksh_studio.jobs.history import JobHistory
from ksh_studio.jobs.requests import stop_job
from ksh_studio.jobs.start import resume_job
from ksh_studio.jobs.status import JobStatus, job_status
from ksh_studio.locales import translate
from ksh_studio.project.workspace import Project
from ksh_studio.ui.access.roles import Action
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.caption.view import import_report
from ksh_studio.ui.parts.events import event_note
from ksh_studio.ui.parts.languages import page_text
from ksh_studio.ui.parts.markup import Html, bar, details, link, note, notes
from ksh_studio.ui.parts.outputs import UNCHANGED, Unchanged, Update, visible
from ksh_studio.ui.parts.theme import html
from ksh_studio.ui.server.files import file_url

ACTIONS: dict[StageName, Action] = {"import": "import", "export": "export"}


@dataclass(frozen=True)
class DrawingJobParts:
    """The components for the jobs of one stage, under the names of `DrawingJobShown`."""

    status: gr.HTML
    stop: gr.Button
    resume: gr.Button


@dataclass(frozen=True)
class DrawingJobShown:
    """How far the project's imports, or exports, are, or how the last one ended."""

    status: str | Unchanged = UNCHANGED
    stop: Update | Unchanged = UNCHANGED
    resume: Update | Unchanged = UNCHANGED

    @property
    def works(self) -> bool:
        """Whether one of the jobs works."""
        return self.stop == visible(True)


def build_drawing_job(stage: StageName) -> DrawingJobParts:
    """Build the components; they take no room while there is nothing to show."""
    status = html(f"{stage}-status")
    with gr.Row(elem_classes="ksh-actions"):
        stop = gr.Button(page_text("ui.stop"), variant="stop", elem_id=f"{stage}-stop", visible=False)
        resume = gr.Button(page_text("caption_tab.resume"), elem_id=f"{stage}-resume", visible=False)
    return DrawingJobParts(status, stop, resume)


def show_drawing_jobs(visit: Visit, project: Project, stage: StageName) -> DrawingJobShown:
    """What is to be seen of the jobs of this stage right now."""
    jobs, may = jobs_of(project), visit.may(ACTIONS[stage])
    shown = [(job, job_status(job)) for job in jobs if job.file.stage == stage]
    working = [(job, status) for job, status in shown if status.alive]
    if not shown or not may:
        return DrawingJobShown("", visible(False), visible(False))
    if working:
        lines = [_working(visit, visit.studio.histories.of(job), status) for job, status in reversed(working)]
        return DrawingJobShown(notes(lines), visible(True), visible(False))
    job, status = shown[0]
    history = visit.studio.histories.of(job)
    if jobs[0] != job and history.final is not None and jobs[0].file.created > history.final.time:
        return DrawingJobShown("", visible(False), visible(False))  # what was begun after it tells more by now
    can_resume = status.state in ("ended unexpectedly", "failed", "paused")
    return DrawingJobShown(_ended(visit, job, history, status), visible(False), visible(can_resume))


def stop_drawing_jobs(visit: Visit, slug: str, stage: StageName) -> None:
    """Ask all imports, or exports, of the project to stop."""
    for job in jobs_of(visit.project(slug), stage):
        if job_status(job).alive:
            stop_job(job)


def resume_drawing_job(visit: Visit, slug: str, stage: StageName) -> str:
    """Go on with the newest import, or export, of the project."""
    job = next(iter(jobs_of(visit.project(slug), stage)), None)
    if job is None:
        raise StudioError("job.unknown", name=stage)
    resume_job(job)
    return bar(0, 0, translate("ui.starting", visit.language))


def _working(visit: Visit, history: JobHistory, status: JobStatus) -> Html:
    if status.state == "not answering":
        return note(translate("train_tab.not_answering", visit.language), "warn")
    progress = history.progress
    if progress is None:
        return bar(0, 0, translate("ui.starting", visit.language))
    text = progress_text(progress, history.pace.seconds_left(), visit.language)
    return bar(progress.done, progress.total, text)


def _ended(visit: Visit, job: Job, history: JobHistory, status: JobStatus) -> Html:
    """How the job ended: its report, its warnings, and the link to what an export has made."""
    language, stage = visit.language, job.file.stage
    parts = [event_note(warning, language) for warning in history.warnings]
    if status.state == "ended unexpectedly":
        parts.insert(0, note(translate(f"caption_tab.{stage}_ended", language), "bad"))
        if visit.may("read_log") and status.last_log_lines:
            parts.append(details(translate("ui.last_lines", language), status.last_log_lines))
        return notes(parts)
    if history.imported is not None:
        parts.append(import_report(history.imported, language))
    if history.final is not None and (history.imported is None or status.state != "finished"):
        parts.append(event_note(history.final, language))
    if stage == "export":
        path = exported_zip(job, job.file.config(ExportConfig))
        if status.state == "finished" and path.is_file():
            address = file_url(job.project, "export", f"{job.id}/{path.name}")
            parts.append(link(address, translate("ui.download", language), path.name))
    return notes(parts)
