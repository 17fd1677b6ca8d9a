"""Which training job the page shows."""

from ksh_studio.disk import is_locked
from ksh_studio.errors import StudioError
from ksh_studio.jobs.folder import Job, jobs_of
from ksh_studio.ui.access.visit import Visit


def choose_job(jobs: list[Job], job_id: str) -> Job | None:
    """The job with this id, else the one that works, else the newest that has begun, else the newest that waits.

    jobs: newest first. None without jobs.
    """
    for fits in (
        lambda job: job.id == job_id,
        lambda job: is_locked(job.lock),
        lambda job: not job.queue_mark.exists(),
        lambda job: True,
    ):
        first = next(filter(fits, jobs), None)
        if first is not None:
            return first
    return None


def shown_job(visit: Visit, slug: str, job_id: str) -> Job:
    """The training job of the project that the page shows. Raises StudioError when there is none."""
    job = choose_job(jobs_of(visit.project(slug), "train"), job_id)
    if job is None:
        raise StudioError("job.unknown", name=str(job_id)[:80])
    return job
