"""Start, stop and watch work that lives in its own process. The disk is the only thing page and job share.

A job runs while its lock is held; what it did is `events.jsonl`; what is asked of it is a file in `control/`. So a
reloaded page, a second browser and a restarted studio all see the same, and a killed process cannot lie.
"""

import logging
import secrets
import shutil
import subprocess
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from ksh_studio import events as said
from ksh_studio import holder
from ksh_studio.config import Config, GenerateConfig
from ksh_studio.disk import disk_errors, is_locked, locked, write_text
from ksh_studio.errors import StudioError, validated
from ksh_studio.events import Event, Final, Heartbeat, Paused, Stopped
from ksh_studio.job_folder import Asked, Job, JobFile, Stage
from ksh_studio.journal import EventReader, Journal, tail
from ksh_studio.spawning import spawn
from ksh_studio.workspace import Project, Workspace

State = Literal[
    "queued", "starting", "running", "not answering", "stopped", "paused", "failed", "finished", "ended unexpectedly"
]

log = logging.getLogger(__name__)
SILENCE_SECONDS = 60.0
START_SECONDS = 120.0
"""So long a process may take until it holds its job, on a slow and busy computer."""
TAILS = (64_000, 1_000_000)
"""Bytes of the end of `events.jsonl` in which the last words are looked for: the first that are enough."""
MOST_ASKED = 20
"""Previews that may wait to be drawn."""


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


def create_if_free(project: Project, stage: Stage, config: Config) -> Job:
    """As `create`, for a job that is run in this process. Raises StudioError when the device is somebody's already."""
    if is_locked(project.workspace.device_lock):
        raise StudioError("device.busy")
    return create(project, stage, config)


def create(project: Project, stage: Stage, config: Config, parent: str | None = None) -> Job:
    """A new job folder with its complete settings; nothing runs yet."""
    stamp, number = f"{datetime.now():%Y%m%d-%H%M%S}-{stage}", 1
    folder = project.jobs / stamp
    with disk_errors(project.jobs):
        project.jobs.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                folder.mkdir()
                break
            except FileExistsError:
                number += 1
                folder = project.jobs / f"{stamp}-{number}"
    trigger = project.settings().trigger
    settings = config.model_dump(mode="json")
    # newer than every other, also after the clock was set back
    created = max([time.time(), *(job.file.created + 0.001 for job in jobs_of(project)[:1])])
    content = JobFile(stage=stage, settings=settings, trigger=trigger, parent=parent, created=created)
    write_text(folder / "job.json", content.model_dump_json(indent=2))
    return Job(folder, project)


def job_at(folder: Path, project: Project) -> Job:
    """The job in this folder. Raises StudioError when there is none."""
    job = Job(folder, project)
    _ = job.file
    return job


def jobs_of(project: Project, stage: Stage | None = None) -> list[Job]:
    """The project's jobs, newest first, but for those whose `job.json` is damaged."""
    found: list[tuple[float, str, Job]] = []
    for job in (Job(path.parent, project) for path in project.jobs.glob("*/job.json")):
        try:
            file = job.file
        except StudioError as error:  # one damaged file must not hide the other jobs
            log.info("%s", error)
            continue
        if stage is None or file.stage == stage:
            found.append((file.created, job.id, job))
    return [job for _, _, job in sorted(found, key=lambda one: one[:2], reverse=True)]


def running_job(workspace: Workspace) -> Job | None:
    """The job that works right now, of whatever project."""
    for project in workspace.projects():
        for lock in project.jobs.glob("*/lock"):
            if is_locked(lock):
                return Job(lock.parent, project)
    return None


def start(project: Project, stage: Stage, config: Config, parent: str | None = None) -> Job:
    """A new job, begun. Raises StudioError as `begin` does; nothing of the new job is then left on the disk."""
    job = create(project, stage, config, parent)
    try:
        begin(job)
    except StudioError:
        shutil.rmtree(job.folder)
        raise
    return job


def begin(job: Job) -> None:
    """Start the job, new or ended, in its own process; returns when it holds its lock or has ended.

    Raises StudioError when another job works: two clicks, browsers or studios start exactly one.
    """
    with locked(job.project.workspace.start_lock, "job.starting"):
        begin_next(job)


def begin_next(job: Job) -> None:
    """As `begin`, for a caller that holds the workspace's start lock."""
    other = running_job(job.project.workspace)
    if other is not None:
        raise StudioError("job.busy", name=other.project.settings().name)
    if is_starting(job):
        raise StudioError("job.starting")
    forget_requests(job)
    holder.take(job.folder, starting=True)
    try:
        child = _spawn(job)
    except BaseException:
        holder.leave(job.folder)
        raise
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None and is_starting(job):
        time.sleep(0.05)
    reaper = threading.Thread(target=_reap, args=(child, job), daemon=True)
    reaper.start()
    if child.poll() is not None:
        reaper.join()


def _spawn(job: Job) -> subprocess.Popen:
    with disk_errors(job.log), job.log.open("ab") as log:
        return spawn(["job", str(job.folder)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _reap(child: subprocess.Popen, job: Job) -> None:
    """Wait for the child, so that it never stays as a zombie; one that ended before it held its job starts no more."""
    child.wait()
    if is_starting(job):
        holder.leave(job.folder)


def is_starting(job: Job) -> bool:
    """Whether some living process is just starting the job."""
    found = holder.holder_of(job.folder)
    return found is not None and found.starting and found.lives()


def device(workspace: Workspace) -> AbstractContextManager[None]:
    """Own the GPU or CPU of this workspace for the block; raises StudioError when somebody else does."""
    return locked(workspace.device_lock, "device.busy")


def forget_requests(job: Job) -> None:
    """Take back what was asked of the job's earlier life: the new one neither stops nor pauses at once."""
    for word in ("stop", "pause"):
        (job.control / word).unlink(missing_ok=True)


def request_stop(job: Job) -> None:
    """Ask a working job to finish what it is at, save and end; may be called from a signal handler."""
    write_text(job.control / "stop", "")


def stop(job: Job) -> None:
    """As `request_stop`; a job that is paused is stopped at once, so that others may start."""
    request_stop(job)
    found = status(job)
    if isinstance(found.last, Paused) and found.state == "paused":
        with locked(job.lock, "job.running", name=job.id), Journal(job.events_file) as journal:
            journal.append(Stopped(key="train.stopped", values=found.last.values))


def pause(job: Job) -> None:
    """Ask a training to save and free the device; `begin` goes on with it, and nothing queued starts before.

    Raises StudioError for another stage: it has nothing to go on from.
    """
    if job.file.stage != "train":
        raise StudioError("job.no_pause")
    write_text(job.control / "pause", "")


def preview_now(job: Job, prompt: str, seed: int | None = None) -> None:
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


def kill(job: Job) -> None:
    """End a job that does not answer, at once; what it saved before stays."""
    found = holder.holder_of(job.folder)
    if found is not None and not found.starting and is_locked(job.lock):
        found.kill()


def events(job: Job) -> list[Event]:
    """All events of the job that still hold, without heartbeats."""
    found = EventReader(job.events_file).rest()
    return [event for event in said.living(found) if not isinstance(event, Heartbeat)]


def status(job: Job) -> JobStatus:
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
    if not (job.folder / holder.FILE).exists() and 0 <= time.time() - job.file.created < START_SECONDS:
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
    found = holder.holder_of(job.folder)
    heard = [found.uptime] if found is not None and found.boot == holder.boot_id() else []
    if beat is not None and beat.uptime is not None and beat.boot == holder.boot_id():
        heard.append(beat.uptime)
    if heard:
        return time.monotonic() - max(heard)
    return time.time() - job.events_file.stat().st_mtime if job.events_file.exists() else 0.0
