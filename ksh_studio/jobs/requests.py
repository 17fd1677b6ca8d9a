"""What is asked of a job that works in another process: the files in its folder `control/`."""

import secrets

from ksh_studio.config import GenerateConfig
from ksh_studio.disk import is_locked, locked, write_text
from ksh_studio.errors import StudioError, validated
from ksh_studio.events import Paused, Stopped
from ksh_studio.jobs.folder import Asked, Job
from ksh_studio.jobs.journal import Journal
from ksh_studio.jobs.owner import owner_of
from ksh_studio.jobs.status import job_status

MOST_ASKED = 20
"""Previews that may wait to be drawn."""


def forget_requests(job: Job) -> None:
    """Take back what was asked of the job's earlier life: the new one neither stops nor pauses at once."""
    for word in ("stop", "pause"):
        (job.control / word).unlink(missing_ok=True)


def request_stop(job: Job) -> None:
    """Ask a working job to finish what it is at, save and end; may be called from a signal handler."""
    write_text(job.control / "stop", "")


def stop_job(job: Job) -> None:
    """As `request_stop`; a job that is paused is stopped at once, so that others may start."""
    request_stop(job)
    found = job_status(job)
    if isinstance(found.last, Paused) and found.state == "paused":
        with locked(job.lock, "job.running", name=job.id), Journal(job.events_file) as journal:
            journal.append(Stopped.saying("train.stopped", **(found.last.values)))


def pause_job(job: Job) -> None:
    """Ask a training to save and free the device; `begin` goes on with it, and nothing queued starts before.

    Raises StudioError for another stage: it has nothing to go on from.
    """
    if job.file.stage != "train":
        raise StudioError("job.no_pause")
    write_text(job.control / "pause", "")


def request_preview(job: Job, prompt: str, seed: int | None = None) -> None:
    """Ask a training for a preview of this prompt; several are drawn in the order of asking.

    seed: of the picture; None: the job's own. Raises StudioError for a prompt that is too long, and when many wait.
    """
    chosen = validated(GenerateConfig, {"prompt": prompt, "seed": seed})
    waiting = job.asked_files()
    if len(waiting) >= MOST_ASKED:
        raise StudioError("job.many_previews", most=MOST_ASKED)
    place = int(waiting[-1].name.split("-")[2]) + 1 if waiting else 1
    name = f"preview-now-{place:06d}-{secrets.token_hex(4)}.json"  # two that ask at once overwrite nothing
    write_text(job.control / name, Asked(prompt=chosen.prompt, seed=chosen.seed).model_dump_json())


def end_job(job: Job) -> None:
    """End a job that does not answer, at once; what it saved before stays."""
    found = owner_of(job.folder)
    if found is not None and not found.starting and is_locked(job.lock):
        found.kill()
