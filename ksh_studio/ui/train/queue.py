"""The trainings that wait for the device: shown, added to, taken out of."""

import gradio as gr

from ksh_studio.errors import StudioError
from ksh_studio.jobs.folder import Job
from ksh_studio.jobs.queue import dequeue_job, enqueue_job, queued_jobs
from ksh_studio.locales import Language, translate
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.markup import element, entry, heading, listing, value_button
from ksh_studio.ui.parts.outputs import clicked_value
from ksh_studio.ui.train.names import training_name
from ksh_studio.ui.train.plan import settings_to_begin


def queue(visit: Visit, slug: str, **values: object) -> None:
    """Add a training with the form's settings to the queue."""
    project, config = settings_to_begin(visit, slug, values)
    enqueue_job(project, "train", config)


def dequeue(visit: Visit, event: gr.EventData) -> None:
    """Remove the clicked training from the queue. Raises StudioError when it does not wait any more."""
    name = clicked_value(event)
    waiting = {_name(job): job for job in queued_jobs(visit.workspace)}
    if name not in waiting:
        raise StudioError("job.not_queued", name=name[:80])
    dequeue_job(waiting[name])


def queue_list(waiting: list[Job], language: Language, may_change: bool) -> str:
    """The queue in its order; empty while nothing waits."""
    if not waiting:
        return ""
    jobs = (_waiting(number, job, language, may_change) for number, job in enumerate(waiting, 1))
    title = heading(translate("train_tab.queue", language))
    return element("section", title, listing(jobs, numbered=True), class_="ksh-queue")


def _waiting(number: int, job: Job, language: Language, may_change: bool) -> str:
    name, rank = (
        training_name(job, language),
        f"{translate('settings.train.rank', language)} {job.file.settings.get('rank')}",
    )
    if not may_change:
        return entry(f"{number}. {name}", rank)
    remove = translate("train_tab.remove", language)
    return entry(f"{number}. {name}", rank, value_button(_name(job), remove, f"{remove}: {name}"))


def _name(job: Job) -> str:
    return f"{job.project.slug}/{job.id}"
