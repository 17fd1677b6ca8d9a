"""What can be said of a job, from its files only: its lock, its events, and who owns it."""

import time
from dataclasses import dataclass
from typing import Literal

from ksh_studio import events as said
from ksh_studio.disk import is_locked
from ksh_studio.events import Event, Final, Heartbeat
from ksh_studio.jobs.folder import Job
from ksh_studio.jobs.journal import EventReader, tail
from ksh_studio.jobs.owner import OWNER_FILE, boot_id, owner_of

State = Literal[
    "queued", "starting", "running", "not answering", "stopped", "paused", "failed", "finished", "ended unexpectedly"
]

SILENCE_SECONDS = 60.0

START_SECONDS = 120.0
"""So long a process may take until it holds its job, on a slow and busy computer."""

TAILS = (64_000, 1_000_000)
"""Bytes of the end of `events.jsonl` in which the last words are looked for: the first that are enough."""


@dataclass(frozen=True)
class JobStatus:
    """What a page may say of a job; derived from its files only."""

    state: State
    last: Event | None
    """The newest event that is no heartbeat."""
    log_tail: str = ""
    """Last lines of the log, where the process ended unexpectedly."""

    @property
    def alive(self) -> bool:
        """Whether a process still works on it."""
        return self.state in ("starting", "running", "not answering")


def is_starting(job: Job) -> bool:
    """Whether some living process is just starting the job."""
    found = owner_of(job.folder)
    return found is not None and found.starting and found.lives()


def job_events(job: Job) -> list[Event]:
    """All events of the job that still hold, without heartbeats."""
    found = EventReader(job.events_file).rest()
    return [event for event in said.living(found) if not isinstance(event, Heartbeat)]


def job_status(job: Job) -> JobStatus:
    """The job's state, from its lock, its last events and whose name is on it."""
    last, beat = _last_words(job)
    if is_locked(job.lock):
        return JobStatus("not answering" if _silence(job, beat) > SILENCE_SECONDS else "running", last)
    if is_starting(job):
        return JobStatus("starting", last)
    if job.queue_mark.exists():
        return JobStatus("queued", last)
    if isinstance(last, Final):
        return JobStatus(last.kind, last)
    if not (job.folder / OWNER_FILE).exists() and 0 <= time.time() - job.file.created < START_SECONDS:
        return JobStatus("starting", last)
    log = "\n".join(tail(job.log, 16_000).decode(errors="replace").splitlines()[-40:])
    return JobStatus("ended unexpectedly", last, log)


def _last_words(job: Job) -> tuple[Event | None, Heartbeat | None]:
    """The newest event that is no heartbeat, and the newest heartbeat."""
    last = beat = None
    for size in TAILS:
        data = tail(job.events_file, size)
        read = [event for event in (said.from_line(line) for line in data.splitlines()) if event is not None]
        last = next((event for event in reversed(read) if not isinstance(event, Heartbeat)), None)
        beat = next((event for event in reversed(read) if isinstance(event, Heartbeat)), None)
        if len(data) < size or (last and beat):
            break
    return last, beat


def _silence(job: Job, beat: Heartbeat | None) -> float:
    """Seconds since the process of a held job was heard of, as this machine's start counts them.

    Only of a process on another machine, whose count says nothing here, by the clock and the age of the file.
    """
    found = owner_of(job.folder)
    heard = [found.uptime] if found is not None and found.boot == boot_id() else []
    if beat is not None and beat.uptime is not None and beat.boot == boot_id():
        heard.append(beat.uptime)
    if heard:
        return time.monotonic() - max(heard)
    return time.time() - job.events_file.stat().st_mtime if job.events_file.exists() else 0.0
