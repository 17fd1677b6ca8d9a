"""Requests to a job that works in another process: the files in its folder `control/`."""

import secrets

from ksh_studio.config import GenerateConfig
from ksh_studio.disk import is_locked, locked, write_text
from ksh_studio.errors import StudioError, validated
from ksh_studio.events import Paused, Stopped
from ksh_studio.jobs.folder import Job, RequestedPreview
from ksh_studio.jobs.journal import Journal
from ksh_studio.jobs.owner import owner_of
from ksh_studio.jobs.status import job_status

MAX_WAITING_PREVIEWS = 20
"""Previews that may wait to be drawn at once."""


def forget_requests(job: Job) -> None:
    """Remove the requests to an earlier process of the job, so that the new one neither stops nor pauses at once."""
    for word in ("stop", "pause"):
        (job.control / word).unlink(missing_ok=True)


def request_stop(job: Job) -> None:
    """Ask a working job to finish its step or batch, save and end; may be called from a signal handler."""
    write_text(job.control / "stop", "")


def stop_job(job: Job) -> None:
    """As `request_stop`; a paused job is stopped at once, so that others may start."""
    request_stop(job)
    status = job_status(job)
    if isinstance(status.last, Paused) and status.state == "paused":
        with locked(job.lock, "job.running", name=job.id), Journal(job.events_file) as journal:
            journal.append(Stopped.saying("train.stopped", **status.last.values))


def pause_job(job: Job) -> None:
    """Ask a training to save and free the device; the queue waits until it is resumed with `begin_job`, or stopped.

    Raises StudioError for another stage, which cannot be resumed.
    """
    if job.file.stage != "train":
        raise StudioError("job.no_pause")
    write_text(job.control / "pause", "")


def request_preview(job: Job, prompt: str, seed: int | None = None) -> None:
    """Ask a training for a preview of this prompt; several are drawn in the order of the requests.

    seed: of the picture; None: the job's own. Raises StudioError for a prompt that is too long, and when many wait.
    """
    config = validated(GenerateConfig, {"prompt": prompt, "seed": seed})
    waiting = job.requested_preview_files()
    if len(waiting) >= MAX_WAITING_PREVIEWS:
        raise StudioError("job.many_previews", most=MAX_WAITING_PREVIEWS)
    place = int(waiting[-1].name.split("-")[2]) + 1 if waiting else 1
    name = f"preview-now-{place:06d}-{secrets.token_hex(4)}.json"  # two requests at once overwrite nothing
    write_text(job.control / name, RequestedPreview(prompt=config.prompt, seed=config.seed).model_dump_json())


def end_job(job: Job) -> None:
    """End a job that does not answer, at once; what it has saved stays."""
    owner = owner_of(job.folder)
    if owner is not None and not owner.starting and is_locked(job.lock):
        owner.kill()
