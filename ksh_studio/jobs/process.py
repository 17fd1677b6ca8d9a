"""A job as its own process sees it: hold it, do its work, append what happens, and write nothing once it is lost.

The lock keeps two processes apart as long as the system keeps the lock. A laptop that slept with its work on a network
drive may wake without it, while another machine went on with the job: so before every line and every save a process
looks whether `process.json` still bears its name.
"""

import logging
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from types import FrameType
from typing import Any

from ksh_studio.disk import is_locked, locked
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Failed
from ksh_studio.jobs.folder import Job
from ksh_studio.jobs.journal import Journal
from ksh_studio.jobs.owner import owner_of, take_ownership
from ksh_studio.jobs.requests import request_stop
from ksh_studio.jobs.start import own_device

log = logging.getLogger(__name__)
WAIT_SECONDS = 0.5


def run_job(job: Job, stage: Callable[[Job], Iterator[Event]]) -> Iterator[Event]:
    """Work on the job in this process: hold its locks, append every event, and yield it.

    The last event is Finished, Stopped, Paused or Failed, whatever happens short of a kill; Failed too when somebody
    else owns the device, or took the job over. Raises StudioError when somebody already works on this job.
    """
    with ExitStack() as held:
        held.enter_context(locked(job.lock, "job.running", name=job.id))
        queued = job.queue_mark.exists()
        job.queue_mark.unlink(missing_ok=True)  # before the name is on it, which is what the starter waits for
        take_ownership(job.folder)
        journal = held.enter_context(Journal(job.events_file, lambda: require_ours(job)))
        with _stop_on_sigterm(job):
            yield from _ending(_kept(_owning_device(stage, job, queued), journal), job, journal)


def is_ours(job: Job) -> bool:
    """Whether this process may still write for the job. A job that was never run under a lock is anybody's."""
    found = owner_of(job.folder)
    if found is None:
        return job.folder.is_dir() and not job.lock.exists()
    return found.is_me()


def require_ours(job: Job) -> None:
    """Raises StudioError when another process has taken the job over, or the job is gone."""
    if not is_ours(job):
        raise StudioError("job.taken_over", name=job.id)


def _owning_device(stage: Callable[[Job], Iterator[Event]], job: Job, patient: bool) -> Iterator[Event]:
    """The stage's events; a patient job waits while somebody else, such as a picture being drawn, owns the device."""
    workspace = job.project.workspace
    while patient and is_locked(workspace.device_lock) and not job.stop_requested():
        time.sleep(WAIT_SECONDS)
    with own_device(workspace):
        yield from stage(job)


def _kept(events: Iterator[Event], journal: Journal) -> Iterator[Event]:
    for event in events:
        journal.append(event)
        yield event


def _ending(stage: Iterator[Event], job: Job, journal: Journal) -> Iterator[Event]:
    """The stage's events, with an error as the last of them instead of a traceback on the page."""
    try:
        yield from stage
        return
    except StudioError as error:
        failure = Failed.of(error.sentence)
    except Exception:  # noqa: BLE001 - the last line of defence: told to the artist, kept in the log, never swallowed
        with suppress(OSError), job.log.open("a", encoding="utf-8") as file:
            file.write(traceback.format_exc())
        failure = Failed.saying("job.crashed", log=job.log)
    try:
        journal.append(failure)
    except (OSError, StudioError) as error:  # no room even for this line, or the job is no longer ours
        log.error("%s", error)
    yield failure


class _stop_on_sigterm:  # noqa: N801 - used as a context manager only
    """SIGTERM becomes the artist's stop while the block runs: finish the step, save, end well."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.before: Any = None

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self.before = signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if is_ours(self.job):  # else it would stop the process that went on with the job
            request_stop(self.job)

    def __exit__(self, *error: object) -> None:
        if self.before is not None:
            signal.signal(signal.SIGTERM, self.before)
