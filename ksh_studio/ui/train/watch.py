"""What the page shows of a training job, looked at again every second; only what has changed is sent."""

import hashlib
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ksh_studio.jobs.describe import describe
from ksh_studio.jobs.folder import Job, JobFile, jobs_of, running_job
from ksh_studio.jobs.history import JobHistory
from ksh_studio.jobs.queue import queued_jobs
from ksh_studio.jobs.status import JobStatus, job_status
from ksh_studio.locales import Language, translate
from ksh_studio.project.workspace import Project
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.markup import bar, note
from ksh_studio.ui.train.chart import loss_chart
from ksh_studio.ui.train.previews import sheet, step_name
from ksh_studio.ui.train.queue import queue_list
from ksh_studio.ui.train.recommended import card, files, recommended
from ksh_studio.ui.train.shown_job import _shown
from ksh_studio.ui.train.status import headline

PARTS = ("status", "chart", "choice", "previews", "files", "queue", "checking", "checked", "settings", "start", "later",
         "check", "stop", "pause", "resume", "kill", "ask", "use", "show", "more", "picked",
         "past")  # fmt: skip
"""Parts of the tab that `poll` fills."""
LISTED = 20
RESUMABLE = ("stopped", "paused", "ended unexpectedly")


@dataclass(frozen=True)
class Look:
    """One look at the project's jobs."""

    found: list[Job]
    """Training jobs, newest first."""
    job: Job | None
    """The one that is shown."""
    status: JobStatus | None
    waiting: list[Job]
    busy: bool
    """Whether any job of the workspace works."""
    check: Job | None
    """The newest check, where nothing was begun after it."""
    checking: JobStatus | None


def poll(visit: Visit, slug: str, chosen: str, seen: dict[str, str] | None) -> list[Any]:
    """Everything the tab shows, in the order of `PARTS`, after what was seen; what is as it was is not sent again."""
    if not slug:
        return [gr.skip()] * (len(PARTS) + 1)
    project, seen = visit.project(slug), seen or {}
    look = look_at(visit, project, chosen)
    now = _signature(visit, slug, look)
    if now == seen.get("all"):
        return [gr.skip()] * (len(PARTS) + 1)
    parts = _nothing(visit) if look.job is None else _of_job(visit, project, look.job, look.status)
    parts |= _around(visit, look)
    prints = {name: hashlib.sha256(repr(parts[name]).encode()).hexdigest() for name in PARTS}
    new = [gr.skip() if seen.get(name) == prints[name] else parts[name] for name in PARTS]
    return [prints | {"all": now}, *new]


def look_at(visit: Visit, project: Project, chosen: str) -> Look:
    """The state of the project's jobs right now."""
    every = jobs_of(project)
    stages: dict[str, JobFile] = {job.id: job.file for job in every}
    found = [job for job in every if stages[job.id].stage == "train"]
    job = _shown(found, chosen)
    check = next((one for one in every if stages[one.id].stage == "check"), None)
    begun = next((one for one in found if not one.queue_mark.exists()), None)
    if check is not None and begun is not None and stages[begun.id].created > stages[check.id].created:
        check = None
    return Look(
        found, job, None if job is None else job_status(job), queued_jobs(visit.workspace),
        running_job(project.workspace) is not None, check, None if check is None else job_status(check),
    )  # fmt: skip


def _signature(visit: Visit, slug: str, look: Look) -> str:
    """Changes when anything that is shown may have changed."""
    told: list[Any] = [slug, visit.language, look.busy, [job.id for job in look.found[:LISTED]]]
    told += [[job.id for job in look.waiting]]
    for job, status in ((look.job, look.status), (look.check, look.checking)):
        if job is not None and status is not None:
            history = visit.studio.histories.of(job)
            told += [job.id, status.state, len(history.steps), len(history.measurements()), len(history.warnings)]
            told += [str(history.progress), str(history.final), history.planned is None]
    return "|".join(map(str, told))


def _nothing(visit: Visit) -> dict[str, Any]:
    """The parts of a project in which nothing has been trained."""
    hidden = dict.fromkeys(
        ("stop", "pause", "resume", "kill", "ask", "use", "show", "more", "picked", "past"), gr.update(visible=False)
    )
    key = "train_tab.empty" if visit.may("train") else "train_tab.not_here"
    empty = dict.fromkeys(("chart", "choice", "previews", "files"), "") | {"picked": gr.skip()}
    return hidden | empty | {"status": note(translate(key, visit.language))}


def _of_job(visit: Visit, project: Project, job: Job, status: JobStatus | None) -> dict[str, Any]:
    """The parts that show one job."""
    status = status or job_status(job)
    history, language, trigger = visit.studio.histories.of(job), visit.language, job.file.trigger.text
    found = recommended(history)
    chosen = found.step if found is not None else None
    saved = sorted({lora.step for lora in history.loras})
    return {
        "status": headline(status, history, language, log=visit.may("read_log")),
        "chart": loss_chart(history, language, chosen),
        "choice": card(project, history, trigger, language),
        "previews": sheet(project, history.previews, trigger, language, chosen),
        "files": files(project, history, language, visit.may("download_lora")),
        "use": gr.update(visible=bool(history.loras)),
        "show": gr.update(visible=visit.may("open_folder") and visit.studio.mode == "local"),
        "more": gr.update(visible=visit.may("train") and bool(history.loras)),
        "picked": gr.update(choices=[(step_name(step, language), step) for step in saved], value=[]),
    } | _buttons(visit, job, status, history)


def _buttons(visit: Visit, job: Job, status: JobStatus, history: JobHistory) -> dict[str, Any]:
    mine, alive = visit.may("train"), status.alive
    resumable = status.state in RESUMABLE or (status.state == "failed" and job.checkpoints.is_dir())
    return {
        "stop": gr.update(visible=mine and (alive or status.state == "paused")),
        "pause": gr.update(visible=mine and alive and status.state != "not answering"),
        "resume": gr.update(visible=mine and resumable),
        "kill": gr.update(visible=mine and status.state == "not answering"),
        "ask": gr.update(visible=mine and status.state == "running" and bool(history.steps)),
    }


def _around(visit: Visit, look: Look) -> dict[str, Any]:
    """The parts that belong to no one job: what may be begun, the queue, the check, earlier trainings."""
    mine, language = visit.may("train"), visit.language
    checked = "" if look.check is None or look.checking is None or look.checking.alive else look.check.id
    return {
        "queue": queue_list(look.waiting, language, mine),
        "checking": _checking(visit, look),
        "checked": checked,
        "settings": gr.update(visible=mine, open=look.job is None),
        "start": gr.update(visible=mine and not look.busy),
        "later": gr.update(visible=mine and look.busy),
        "check": gr.update(visible=mine and not look.busy),
        "past": gr.update(
            visible=len(look.found) > 1,
            choices=[(_title(job, language), job.id) for job in look.found[:LISTED]],
            value=look.job.id if look.job is not None else None,
        ),
    }


def _checking(visit: Visit, look: Look) -> str:
    """The check while it works, and what it failed of; what it found stands in the card."""
    if look.check is None or look.checking is None:
        return ""
    history, language = visit.studio.histories.of(look.check), visit.language
    if look.checking.alive:
        progress = history.progress
        if progress is None:
            return bar(0, 0, translate("ui.starting", language))
        return bar(progress.done, progress.total, describe(progress, language))
    if look.checking.state == "ended unexpectedly":
        return note(translate("train_tab.check_ended", language), "bad")
    failed = history.final is not None and look.checking.state == "failed"
    return note(history.final.text(language), "bad") if failed else ""


def _title(job: Job, language: Language) -> str:
    state = translate(f"ui.state_{job_status(job).state.replace(' ', '_')}", language)
    return f"{job.id} · {state}"
