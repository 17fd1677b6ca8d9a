"""A job in its own process: own it, do its work, append what happens, and write nothing once another process owns it.

The lock keeps two processes apart as long as the system keeps the lock. A laptop that slept with its work on a network
drive may wake without it, while another machine went on with the job. So before every line and every save a process
checks whether `process.json` still names it as the owner.
"""

import logging
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from types import FrameType

from ksh_studio.disk import Busy, any_disk_errors, is_locked, locked
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Failed, Progress, Stopped
from ksh_studio.jobs.folder import DRAWINGS_STAGES, Job
from ksh_studio.jobs.journal import Journal
from ksh_studio.jobs.owner import owner_of, take_ownership
from ksh_studio.jobs.requests import request_stop
from ksh_studio.jobs.start import own_device
from ksh_studio.project.set_aside import require_allowed

log = logging.getLogger(__name__)
Handler = Callable[[int, FrameType | None], object]
WAIT_SECONDS = 0.5
END_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
"""What asks a process to end: a machine that shuts down, a terminal or an ssh session that is closed, Ctrl+Break."""


def run_job(job: Job, stage: Callable[[Job], Iterator[Event]]) -> Iterator[Event]:
    """Work on the job in this process: hold its locks, append every event, and yield it.

    The last event is Finished, Stopped, Paused or Failed, whatever happens short of a kill; Failed too when another
    process owns the device, or took the job over. Raises StudioError when a process already works on this job, or the
    job came with a backup and names what the owner has not allowed.
    """
    require_allowed(job.project, job.id)
    with ExitStack() as held:
        held.enter_context(locked(job.lock, "job.running", name=job.id))
        queued = job.queue_mark.exists()
        job.queue_mark.unlink(missing_ok=True)  # before it owns the job, which is what `begin_job` waits for
        take_ownership(job.folder)
        journal = held.enter_context(Journal(job.events_file, lambda: require_ownership(job), job.reserve))
        with _StopOnSignal(job):
            yield from _with_failure(_appended(_in_turn(stage, job, queued), journal), job, journal)


def owned_by_this_process(job: Job) -> bool:
    """Whether this process may still write for the job; any process may while the job has never been run."""
    owner = owner_of(job.folder)
    if owner is None:
        return job.folder.is_dir() and not job.lock.exists()
    return owner.is_this_process()


def require_ownership(job: Job) -> None:
    """Raises StudioError when another process has taken the job over, or the job is gone."""
    if not owned_by_this_process(job):
        raise StudioError("job.taken_over", name=job.id)


def _in_turn(stage: Callable[[Job], Iterator[Event]], job: Job, patient: bool) -> Iterator[Event]:
    """The stage's events, while the job holds what it needs: the project's drawings, then the device."""
    with ExitStack() as held:
        if job.file.stage in DRAWINGS_STAGES:
            yield from _wait_for_drawings(job, held)
            if job.stop_requested():
                yield Stopped.saying("job.stopped_waiting")
                return
        yield from _owning_device(stage, job, patient) if job.uses_device else stage(job)


def _wait_for_drawings(job: Job, held: ExitStack) -> Iterator[Event]:
    """Hold the lock on the project's drawings, when nobody else does any more; give up when asked to stop."""
    waiting = False
    while not job.stop_requested():
        try:
            held.enter_context(locked(job.project.drawings_lock, "import.busy"))
            return
        except Busy:
            if not waiting:
                yield Progress(phase="wait", done=0, total=0)
            waiting = True
        time.sleep(WAIT_SECONDS)


def _owning_device(stage: Callable[[Job], Iterator[Event]], job: Job, patient: bool) -> Iterator[Event]:
    """The stage's events. A patient job waits while something else, such as a picture being drawn, owns the device."""
    workspace = job.project.workspace
    while patient and is_locked(workspace.device_lock) and not job.stop_requested():
        time.sleep(WAIT_SECONDS)
    with own_device(workspace):
        yield from stage(job)


def _appended(events: Iterator[Event], journal: Journal) -> Iterator[Event]:
    """The events, each in the file before it is passed on."""
    for event in events:
        journal.append(event)
        yield event


def _with_failure(stage: Iterator[Event], job: Job, journal: Journal) -> Iterator[Event]:
    """The stage's events; an error becomes the last of them, Failed, instead of a traceback on the page."""
    try:
        with any_disk_errors(job.project.workspace.root):
            yield from stage
        return
    except StudioError as error:
        failure = Failed.of(error.sentence)
    except Exception:  # noqa: BLE001 - the artist sees a sentence, the log has the traceback
        with suppress(OSError), job.log.open("a", encoding="utf-8") as file:
            file.write(traceback.format_exc())
        failure = Failed.saying("job.crashed", log=job.log)
    try:
        journal.append(failure)
    except (OSError, StudioError) as error:  # no room even for this line, or another process owns the job now
        log.error("%s", error)
    yield failure


class _StopOnSignal:
    """A signal that asks to end becomes the artist's stop while the block runs: finish the step, save, end well."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.before: dict[int, signal.Handlers | Handler | int | None] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in END_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` ignores SIGHUP, so that the work goes on
                self.before[number] = signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if owned_by_this_process(self.job):  # else it would stop the process that went on with the job
            request_stop(self.job)

    def __exit__(self, *error: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
