"""Which training job the page shows."""

from ksh_studio.disk import is_locked
from ksh_studio.errors import StudioError
from ksh_studio.jobs.folder import Job, jobs_of
from ksh_studio.project.workspace import Project
from ksh_studio.ui.access.visit import Visit


def job_shown(project: Project, chosen: str) -> Job | None:
    """The training job that the page shows: the one chosen, else the one that works, else the newest that began."""
    return _shown(jobs_of(project, "train"), chosen)


def _shown(found: list[Job], chosen: str) -> Job | None:
    for wanted in (
        lambda job: job.id == chosen,
        lambda job: is_locked(job.lock),
        lambda job: not job.queue_mark.exists(),
        lambda job: True,
    ):
        first = next(filter(wanted, found), None)
        if first is not None:
            return first
    return None


def wanted_job(visit: Visit, slug: str, chosen: str) -> Job:
    """As `job_shown`. Raises StudioError when there is none."""
    job = job_shown(visit.project(slug), chosen)
    if job is None:
        raise StudioError("job.unknown", name=str(chosen)[:80])
    return job
