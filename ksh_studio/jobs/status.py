"""The state of a job, from its files only: its lock, its events, and who owns it."""

import time
from dataclasses import dataclass
from typing import Literal

from ksh_studio.disk import boot_id, is_locked
from ksh_studio.events import Event, Final, Heartbeat, from_line, valid_events
from ksh_studio.jobs.folder import Job
from ksh_studio.jobs.journal import EventReader, last_bytes
from ksh_studio.jobs.owner import OWNER_FILE, owner_of

State = Literal[
    "queued", "starting", "running", "not answering", "stopped", "paused", "failed", "finished", "ended unexpectedly"
]

SILENCE_SECONDS = 60.0
"""A job whose process wrote nothing for longer counts as not answering."""
START_SECONDS = 120.0
"""The longest that a process may take until it owns its job, on a slow and busy computer."""
END_BYTES = (64_000, 1_000_000)
"""How much of the end of `events.jsonl` is searched for the newest events: the first amount that is enough."""


@dataclass(frozen=True)
class JobStatus:
    """What is known of a job."""

    state: State
    last: Event | None
    """The newest event that is no heartbeat."""
    last_log_lines: str = ""
    """Last lines of the log, where the process ended unexpectedly."""

    @property
    def alive(self) -> bool:
        """Whether a process still works on it."""
        return self.state in ("starting", "running", "not answering")


def is_starting(job: Job) -> bool:
    """Whether a process that still runs is just starting the job."""
    owner = owner_of(job.folder)
    return owner is not None and owner.starting and owner.is_running()


def job_events(job: Job) -> list[Event]:
    """All events of the job that still hold, without heartbeats."""
    events = EventReader(job.events_file).rest()
    return [event for event in valid_events(events) if not isinstance(event, Heartbeat)]


def job_status(job: Job) -> JobStatus:
    """The job's state, from its lock, its newest events and its owner."""
    last, heartbeat = _newest_events(job)
    if is_locked(job.lock):
        return JobStatus("not answering" if _silence(job, heartbeat) > SILENCE_SECONDS else "running", last)
    if is_starting(job):
        return JobStatus("starting", last)
    if job.queue_mark.exists():
        return JobStatus("queued", last)
    if isinstance(last, Final):
        return JobStatus(last.kind, last)
    if not (job.folder / OWNER_FILE).exists() and 0 <= time.time() - job.file.created < START_SECONDS:
        return JobStatus("starting", last)
    log = "\n".join(last_bytes(job.log, 16_000).decode(errors="replace").splitlines()[-40:])
    return JobStatus("ended unexpectedly", last, log)


def _newest_events(job: Job) -> tuple[Event | None, Heartbeat | None]:
    """The newest event that is no heartbeat, and the newest heartbeat."""
    last: Event | None = None
    heartbeat: Heartbeat | None = None
    for size in END_BYTES:
        data = last_bytes(job.events_file, size)
        events = [event for event in (from_line(line) for line in data.splitlines()) if event is not None]
        last = next((event for event in reversed(events) if not isinstance(event, Heartbeat)), None)
        heartbeat = next((event for event in reversed(events) if isinstance(event, Heartbeat)), None)
        if len(data) < size or (last and heartbeat):
            break
    return last, heartbeat


def _silence(job: Job, heartbeat: Heartbeat | None) -> float:
    """Seconds since the process of a locked job last wrote, in this machine's monotonic seconds.

    The process may run on another machine, whose monotonic seconds mean nothing here: then by the age of the file.
    """
    owner = owner_of(job.folder)
    signs = [owner.uptime] if owner is not None and owner.boot == boot_id() else []
    if heartbeat is not None and heartbeat.uptime is not None and heartbeat.boot == boot_id():
        signs.append(heartbeat.uptime)
    if signs:
        return time.monotonic() - max(signs)
    return time.time() - job.events_file.stat().st_mtime if job.events_file.exists() else 0.0
