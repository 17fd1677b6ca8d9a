"""What the page shows of the project's training jobs, updated whenever it changes."""

from dataclasses import dataclass

import gradio as gr
from gradio.blocks import Block

from ksh_studio.errors import StudioError
from ksh_studio.jobs.describe import describe
from ksh_studio.jobs.folder import Job, jobs_of, running_job
from ksh_studio.jobs.history import JobHistory
from ksh_studio.jobs.queue import queued_jobs
from ksh_studio.jobs.status import JobStatus, job_status
from ksh_studio.locales import Language, translate
from ksh_studio.project.catalogue.counting import drawings_of
from ksh_studio.project.workspace import Project
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.markup import bar, heading, note, notes
from ksh_studio.ui.parts.outputs import UNCHANGED, News, Unchanged, Update, news, visible
from ksh_studio.ui.train.chart import details
from ksh_studio.ui.train.layout import JobButtons, JobDisplay, StartButtons
from ksh_studio.ui.train.names import training_name, training_name_and_state
from ksh_studio.ui.train.previews import preview_tiles, step_name
from ksh_studio.ui.train.queue import queue_list
from ksh_studio.ui.train.recommended import file_list, recommendation, recommended_step
from ksh_studio.ui.train.shown_job import choose_job
from ksh_studio.ui.train.status import headline

LISTED_JOBS = 20
RESUMABLE = ("stopped", "paused", "ended unexpectedly")


@dataclass(frozen=True)
class TrainDisplay:
    """What `poll` shows, and the components for it."""

    job: JobDisplay[gr.HTML] | JobDisplay[str]
    job_buttons: JobButtons[gr.Button] | JobButtons[Update]
    preview_row: Block | Update
    """Prompt and button of "Preview now"."""
    more: Block | Update
    """What else can be done with the LoRA files."""
    steps: Block | Update | Unchanged
    """Steps that have a LoRA file, to be ticked."""
    start_buttons: StartButtons[gr.Button] | StartButtons[Update]
    new: Block | Update
    """The settings of a new training."""
    check_status: Block | str
    checked: Block | str
    """Id of the check that has ended."""
    waiting: Block | str
    """The trainings that wait for the device."""
    earlier: Block | Update
    """The menu of earlier trainings."""


@dataclass(frozen=True)
class ProjectJobs:
    """The state of the project's jobs at one moment."""

    trainings: list[Job]
    """Newest first."""
    job: Job | None
    """The one that is shown."""
    status: JobStatus | None
    waiting: list[Job]
    busy: bool
    """Whether any job of the workspace works."""
    check: Job | None
    """The newest check, where nothing was begun after it."""
    check_status: JobStatus | None
    trainable: bool
    """Whether there are captions to train with."""


def poll(
    visit: Visit, slug: str, job_id: str, seen: dict[str, str] | None
) -> News[dict[str, str], TrainDisplay] | Unchanged:
    """Everything that the tab shows, as far as the page does not show it yet."""
    if not slug:
        return UNCHANGED
    project = visit.project(slug)
    jobs = jobs_now(visit, project, job_id)
    return news(seen, _version(visit, slug, jobs), lambda: _display(visit, project, jobs))


def version(visit: Visit, slug: str, job_id: str) -> object:
    """Changes when anything that `poll` shows may have changed."""
    return _version(visit, slug, jobs_now(visit, visit.project(slug), job_id))


def jobs_now(visit: Visit, project: Project, job_id: str) -> ProjectJobs:
    """The state of the project's jobs right now."""
    every = jobs_of(project)
    files = {job.id: job.file for job in every}
    trainings = [job for job in every if files[job.id].stage == "train"]
    job = choose_job(trainings, job_id)
    check = next((one for one in every if files[one.id].stage == "check"), None)
    begun = next((one for one in trainings if not one.queue_mark.exists()), None)
    if check is not None and begun is not None and files[begun.id].created > files[check.id].created:
        check = None
    return ProjectJobs(
        trainings, job, None if job is None else job_status(job), queued_jobs(visit.workspace),
        running_job(project.workspace) is not None, check, None if check is None else job_status(check),
        _has_captions(project),
    )  # fmt: skip


def _has_captions(project: Project) -> bool:
    try:
        return drawings_of(project).captioned > 0
    except StudioError:  # the plan says what is wrong with them
        return False


def _version(visit: Visit, slug: str, jobs: ProjectJobs) -> object:
    """Changes when anything that is shown may have changed."""
    listed = [job.id for job in jobs.trainings[:LISTED_JOBS]], [job.id for job in jobs.waiting]
    version: list[object] = [slug, visit.language, visit.role, jobs.busy, jobs.trainable, listed]
    for job, status in ((jobs.job, jobs.status), (jobs.check, jobs.check_status)):
        if job is not None and status is not None:
            history = visit.studio.histories.of(job)
            version += [job.id, status.state, len(history.steps), len(history.measurements()), len(history.warnings)]
            version.append(history.reader.unknown)
            version += [str(history.progress), str(history.final), history.planned is None]
    return version


def _display(visit: Visit, project: Project, jobs: ProjectJobs) -> TrainDisplay:
    may_train, language = visit.may("train"), visit.language
    steps: Update | Unchanged = UNCHANGED
    if jobs.job is None or jobs.status is None:
        job, job_buttons = _no_job(visit, jobs.trainable), _no_buttons()
        running = has_lora = False
    else:
        history = visit.studio.histories.of(jobs.job)
        job = _job_display(visit, project, jobs.job, jobs.status, history)
        job_buttons, steps = _job_buttons(visit, jobs.job, jobs.status, history), _steps(history, language)
        running, has_lora = jobs.status.state == "running" and bool(history.steps), bool(history.loras)
    check_ended = jobs.check is not None and jobs.check_status is not None and not jobs.check_status.alive
    return TrainDisplay(
        job=job,
        job_buttons=job_buttons,
        preview_row=visible(may_train and running),
        more=visible(may_train and has_lora),
        steps=steps,
        start_buttons=StartButtons(
            start=visible(may_train and not jobs.busy),
            queue=visible(may_train and jobs.busy),
            check=visible(may_train and not jobs.busy),
        ),
        new=gr.update(visible=may_train, open=jobs.job is None),
        check_status=_check_status(visit, jobs),
        checked=jobs.check.id if jobs.check is not None and check_ended else "",
        waiting=queue_list(jobs.waiting, language, may_train),
        earlier=_earlier(jobs, language),
    )


def _no_job(visit: Visit, trainable: bool) -> JobDisplay[str]:
    """What a project shows in which nothing has been trained; nothing where the plan says that nothing can be."""
    if visit.may("train"):
        status = note(translate("train_tab.empty", visit.language)) if trainable else ""
    else:
        status = note(translate("train_tab.not_here", visit.language))
    return JobDisplay(status, chart="", recommended="", previews="", files="")


def _no_buttons() -> JobButtons[Update]:
    hidden = visible(False)
    return JobButtons(hidden, hidden, hidden, hidden, hidden, hidden, hidden, hidden, hidden)


def _job_display(visit: Visit, project: Project, job: Job, status: JobStatus, history: JobHistory) -> JobDisplay[str]:
    language, trigger = visit.language, job.file.trigger.text
    best = recommendation(history)
    step = best.step if best is not None else None
    return JobDisplay(
        status=notes([heading(training_name(job, language)), headline(status, history, language)]),
        chart=details(history, language, step, status.last_log_lines if visit.may("read_log") else ""),
        recommended=recommended_step(project, history, trigger, language),
        previews=preview_tiles(project, history.previews, trigger, language, step),
        files=file_list(project, history, language, visit.may("download_lora")),
    )


def _job_buttons(visit: Visit, job: Job, status: JobStatus, history: JobHistory) -> JobButtons[Update]:
    may_train, alive = visit.may("train"), status.alive
    resumable = status.state in RESUMABLE or (status.state == "failed" and job.checkpoints.is_dir())
    return JobButtons(
        pause=visible(may_train and alive and status.state != "not answering"),
        resume=visible(may_train and resumable),
        stop=visible(may_train and (alive or status.state == "paused")),
        end=visible(may_train and status.state == "not answering"),
        use_lora=visible(bool(history.loras)),
        next_stage=visible(bool(history.loras)),
        train_on=visible(may_train and bool(history.loras)),
        use_settings=visible(may_train),
        open_folder=visible(visit.may("open_folder") and visit.studio.mode == "local"),
    )


def _steps(history: JobHistory, language: Language) -> Update:
    steps = sorted({lora.step for lora in history.loras})
    return gr.update(choices=[(step_name(step, language), step) for step in steps], value=[])


def _earlier(jobs: ProjectJobs, language: Language) -> Update:
    choices = [(training_name_and_state(job, language), job.id) for job in jobs.trainings[:LISTED_JOBS]]
    return gr.update(visible=len(choices) > 1, choices=choices, value=jobs.job.id if jobs.job is not None else None)


def _check_status(visit: Visit, jobs: ProjectJobs) -> str:
    """The check while it works, and why it failed; what it measured stands in the plan."""
    if jobs.check is None or jobs.check_status is None:
        return ""
    history, language = visit.studio.histories.of(jobs.check), visit.language
    if jobs.check_status.alive:
        progress = history.progress
        if progress is None:
            return bar(0, 0, translate("ui.starting", language))
        return bar(progress.done, progress.total, describe(progress, language))
    if jobs.check_status.state == "ended unexpectedly":
        return note(translate("train_tab.check_ended", language), "bad")
    if history.final is not None and jobs.check_status.state == "failed":
        return note(history.final.text(language), "bad")
    return ""
