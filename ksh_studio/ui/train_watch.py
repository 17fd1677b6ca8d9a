"""What happens to a training job on the page: watched, stopped, resumed, chosen; its LoRA used."""

from typing import Any

import gradio as gr

from ksh_studio import jobs
from ksh_studio.disk import open_folder
from ksh_studio.jobs import Job
from ksh_studio.locales import Language, StudioError, translate
from ksh_studio.ui.access import Visit
from ksh_studio.ui.markup import note
from ksh_studio.ui.train_view import headline, loss_chart, results, timeline
from ksh_studio.workspace import Project

SHOWN = 11
"""Parts of the tab that `poll` fills, besides what was seen last."""
LISTED = 20


def job_shown(project: Project, chosen: str) -> Job | None:
    """The training job that the page shows: the one chosen, else the newest; None when there is none."""
    found = jobs.jobs_of(project, "train")
    return next((job for job in found if job.id == chosen), found[0] if found else None)


def wanted_job(visit: Visit, slug: str, chosen: str) -> Job:
    """As `job_shown`. Raises StudioError when there is none."""
    job = job_shown(visit.project(slug), chosen)
    if job is None:
        raise StudioError("job.unknown", name=str(chosen)[:80])
    return job


def halt(visit: Visit, slug: str, chosen: str) -> None:
    """Ask the job to finish its step, save and end."""
    jobs.stop(wanted_job(visit, slug, chosen))


def end_now(visit: Visit, slug: str, chosen: str) -> None:
    """End a job that does not answer."""
    jobs.kill(wanted_job(visit, slug, chosen))


def go_on(visit: Visit, slug: str, chosen: str) -> str:
    """Resume a job that was stopped or ended unexpectedly."""
    job = wanted_job(visit, slug, chosen)
    visit.studio.worker.end()
    jobs.begin(job)
    return job.id


def choose(visit: Visit, slug: str, job: str) -> str:
    """Show an earlier job."""
    return wanted_job(visit, slug, job).id


def show_folder(visit: Visit, slug: str, chosen: str) -> None:
    """Open the job's LoRA folder on the machine the studio runs on."""
    job = wanted_job(visit, slug, chosen)
    open_folder(job.loras if job.loras.is_dir() else job.folder)


def poll(visit: Visit, slug: str, chosen: str, seen: str) -> list[Any]:
    """Everything the tab shows of the job; nothing is sent when nothing is new."""
    if not slug:
        return [gr.skip()] * (SHOWN + 1)
    project = visit.project(slug)
    job = job_shown(project, chosen)
    past = jobs.jobs_of(project, "train")
    if job is None:
        now = f"{slug} {visit.language}"
        return [gr.skip()] * (SHOWN + 1) if seen == now else [now, *_nothing(visit)]
    story, status = visit.studio.stories.of(job), jobs.status(job)
    signature = (slug, job.id, visit.language, status.state, len(past), len(story.steps), len(story.previews),
                 len(story.loras), len(story.warnings), str(story.progress), str(story.final))  # fmt: skip
    now = "|".join(map(str, signature))
    if now == seen:
        return [gr.skip()] * (SHOWN + 1)
    return [now, *_shown(visit, project, job, past)]


def _nothing(visit: Visit) -> list[Any]:
    hidden = gr.update(visible=False)
    start = gr.update(visible=visit.may("train"), interactive=True)
    key = "train_tab.empty" if visit.may("train") else "train_tab.not_here"
    text = note(translate(key, visit.language))
    return [text, "", "", "", start, hidden, hidden, hidden, hidden, hidden, hidden]


def _shown(visit: Visit, project: Project, job: Job, past: list[Job]) -> list[Any]:
    story, status, language = visit.studio.stories.of(job), jobs.status(job), visit.language
    mine, alive = visit.may("train"), status.alive
    can_resume = status.state in ("stopped", "failed", "ended unexpectedly") and job.checkpoints.is_dir()
    return [
        headline(status, story, language, log=visit.may("read_log")),
        loss_chart(story, language),
        timeline(project, story.previews, language),
        results(project, story, language, visit.may("download_lora")),
        gr.update(visible=mine and not alive),
        gr.update(visible=mine and alive),
        gr.update(visible=mine and can_resume),
        gr.update(visible=mine and status.state == "not answering"),
        gr.update(visible=bool(story.loras)),
        gr.update(visible=visit.may("open_folder") and visit.studio.mode == "local"),
        gr.update(
            visible=len(past) > 1,
            choices=[(_title(other, language), other.id) for other in past[:LISTED]],
            value=job.id,
        ),
    ]


def _title(job: Job, language: Language) -> str:
    state = translate(f"ui.state_{jobs.status(job).state.replace(' ', '_')}", language)
    return f"{job.id} · {state}"


def newest_lora(visit: Visit, slug: str, chosen: str) -> str:
    """Path inside the workspace of the last LoRA of the job shown. Raises StudioError when it has none."""
    project = visit.project(slug)
    job = wanted_job(visit, slug, chosen)
    saved = visit.studio.stories.of(job).loras
    if not saved:
        raise StudioError("train_tab.no_lora")
    last = max(saved, key=lambda lora: lora.step)
    return (project.root / last.path).relative_to(project.workspace.root).as_posix()
