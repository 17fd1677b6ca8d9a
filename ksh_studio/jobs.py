"""Start, stop and watch work that lives in its own process. The disk is the only thing page and job share.

A job runs while its lock is held; what it did is `events.jsonl`; what is asked of it is a file in `control/`. So a
reloaded page, a second browser and a restarted studio all see the same, and a killed process cannot lie.
"""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import psutil

from ksh_studio import events as said
from ksh_studio.config import ALL_CONFIGS, Config, Trigger, validated
from ksh_studio.disk import disk_errors, is_locked, locked, write_text
from ksh_studio.events import Event, Failed, Final, Heartbeat
from ksh_studio.journal import EventReader, Journal, tail
from ksh_studio.locales import StudioError
from ksh_studio.workspace import Project, Workspace

Stage = Literal["caption", "check", "train"]
State = Literal[
    "queued", "starting", "running", "not answering", "stopped", "paused", "failed", "finished", "ended unexpectedly"
]

log = logging.getLogger(__name__)
SILENCE_SECONDS = 60.0
START_SECONDS = 30.0
ROOT = Path(__file__).resolve().parent.parent
# What a child may know of our environment: no tokens, but how the Hub is reached and where its cache is.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TEMP", "TMP", "USERPROFILE", "LOCALAPPDATA", "APPDATA",
             "SYSTEMROOT", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "XDG_CACHE_HOME",
             "XDG_DATA_HOME", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
             "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "KSH_WORKSPACE", "HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT",
             "HF_HUB_OFFLINE")  # fmt: skip


class JobFile(Config):
    """`job.json`: a job's complete settings; written once, never changed."""

    stage: Stage
    settings: dict[str, Any]
    """Of the stage's config class, valid."""
    trigger: Trigger
    """As it was when the job began."""
    parent: str | None = None
    """Id of the training job that this one goes on from."""
    created: float

    def config(self) -> Config:
        """The settings as the stage's config."""
        return validated(ALL_CONFIGS["train" if self.stage == "check" else self.stage], self.settings)


@dataclass(frozen=True)
class Job:
    """One job's folder and the paths in it."""

    folder: Path
    project: Project

    @property
    def id(self) -> str:
        """Folder name, sorts by time."""
        return self.folder.name

    @property
    def lock(self) -> Path:
        """Held while the job lives."""
        return self.folder / "lock"

    @property
    def events_file(self) -> Path:
        """One event a line, appended."""
        return self.folder / "events.jsonl"

    @property
    def log(self) -> Path:
        """What the process printed."""
        return self.folder / "log.txt"

    @property
    def previews(self) -> Path:
        """Pictures drawn while training."""
        return self.folder / "previews"

    @property
    def checkpoints(self) -> Path:
        """States from which training resumes."""
        return self.folder / "checkpoints"

    @property
    def loras(self) -> Path:
        """LoRA files."""
        return self.folder / "loras"

    @property
    def control(self) -> Path:
        """The words spoken to a running job."""
        return self.folder / "control"

    @property
    def file(self) -> JobFile:
        """`job.json`. Raises StudioError when it cannot be read."""
        try:
            return JobFile.model_validate_json((self.folder / "job.json").read_bytes())
        except (OSError, ValueError) as error:
            raise StudioError("job.unreadable", path=self.folder) from error

    def stop_requested(self) -> bool:
        """Whether the artist asked this job to stop."""
        return (self.control / "stop").exists()


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
    content = JobFile(stage=stage, settings=settings, trigger=trigger, parent=parent, created=time.time())
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


def running_job(project: Project) -> Job | None:
    """The job of this workspace that works right now, of whatever project."""
    for other in project.workspace.projects():
        for lock in other.jobs.glob("*/lock"):
            if is_locked(lock):
                return Job(lock.parent, other)
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
    """Start the job, new or stopped, in its own process; returns when it holds its lock or has ended.

    Raises StudioError when another job works: two clicks, browsers or studios start exactly one.
    """
    with locked(job.project.workspace.start_lock, "job.starting"):
        other = running_job(job.project)
        if other is not None:
            raise StudioError("job.busy", name=other.project.settings().name)
        (job.control / "stop").unlink(missing_ok=True)
        (job.folder / "process.json").unlink(missing_ok=True)
        child = _spawn(job)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and child.poll() is None and not (job.folder / "process.json").exists():
            time.sleep(0.05)
    threading.Thread(target=child.wait, daemon=True).start()  # reaped, so that it never stays as a zombie


def _spawn(job: Job) -> subprocess.Popen:
    with disk_errors(job.log), job.log.open("ab") as log:
        return spawn(["job", str(job.folder)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def spawn(arguments: list[str], **streams: Any) -> subprocess.Popen:
    """A child of this studio: its own session, no shell, only the environment it needs."""
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment |= {
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(ROOT),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        # threads that wait must sleep: beside any other busy process, spinning ones made a picture 2 to 30 times slower
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    own_group = (
        {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if os.name == "nt" else {"start_new_session": True}
    )
    command = [sys.executable, "-m", "ksh_studio.cli", *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=environment, close_fds=True, **own_group, **streams)


def run(job: Job, stage: Callable[[Job], Iterator[Event]]) -> Iterator[Event]:
    """Work on the job in this process: hold its locks, append every event, and yield it.

    The last event is Finished, Stopped or Failed, whatever happens short of a kill; Failed too when somebody else owns
    the device. Raises StudioError when somebody already works on this job.
    """
    with ExitStack() as held:
        held.enter_context(locked(job.lock, "job.running", name=job.id))
        write_text(job.folder / "process.json", json.dumps(_identity()))
        journal = held.enter_context(Journal(job.events_file))
        with _stop_on_sigterm(job):
            yield from _ending(_kept(_owning_device(stage, job), journal), job, journal)


def device(workspace: Workspace) -> AbstractContextManager[None]:
    """Own the GPU or CPU of this workspace for the block; raises StudioError when somebody else does."""
    return locked(workspace.device_lock, "device.busy")


def _owning_device(stage: Callable[[Job], Iterator[Event]], job: Job) -> Iterator[Event]:
    with device(job.project.workspace):
        yield from stage(job)


def _kept(events: Iterator[Event], journal: Journal) -> Iterator[Event]:
    for event in events:
        journal.append(event)
        yield event


def _identity() -> dict[str, float | int]:
    process = psutil.Process()
    return {"pid": process.pid, "create_time": process.create_time(), "boot_time": psutil.boot_time()}


def _ending(stage: Iterator[Event], job: Job, journal: Journal) -> Iterator[Event]:
    """The stage's events, with an error as the last of them instead of a traceback on the page."""
    try:
        yield from stage
        return
    except StudioError as error:
        failure = said.failed(error)
    except Exception:  # noqa: BLE001 - the last line of defence: told to the artist, kept in the log, never swallowed
        with job.log.open("a", encoding="utf-8") as file:
            file.write(traceback.format_exc())
        failure = Failed(key="job.crashed", values={"log": str(job.log)})
    try:
        journal.append(failure)
    except StudioError as error:  # no room even for this line
        log.error("%s", error)
    yield failure


class _stop_on_sigterm:  # noqa: N801 - used as a context manager only
    """SIGTERM becomes the artist's stop while the block runs: finish the step, save, end well."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.before: Any = None

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self.before = signal.signal(signal.SIGTERM, lambda *_: stop(self.job))

    def __exit__(self, *error: object) -> None:
        if self.before is not None:
            signal.signal(signal.SIGTERM, self.before)


def stop(job: Job) -> None:
    """Ask the job to finish what it is at, save and end."""
    write_text(job.control / "stop", "")


def kill(job: Job) -> None:
    """End a job that does not answer, at once; what it saved before stays."""
    try:
        identity = json.loads((job.folder / "process.json").read_text(encoding="utf-8"))
        process = psutil.Process(identity["pid"])
        if process.create_time() == identity["create_time"]:  # else the number now belongs to somebody else
            process.kill()
    except (OSError, ValueError, TypeError, KeyError, psutil.NoSuchProcess):
        return


def events(job: Job) -> list[Event]:
    """All events of the job that still hold, without heartbeats."""
    found = EventReader(job.events_file).new()
    return [event for event in said.living(found) if not isinstance(event, Heartbeat)]


def status(job: Job) -> JobStatus:
    """The job's state, from its lock, its last event and the age of its file."""
    last_bytes = tail(job.events_file, 64_000)
    read = [event for event in (said.from_line(line) for line in last_bytes.splitlines()) if event is not None]
    last = next((event for event in reversed(read) if not isinstance(event, Heartbeat)), None)
    if is_locked(job.lock):
        heard = job.events_file.stat().st_mtime if job.events_file.exists() else time.time()
        silent = time.time() - heard > SILENCE_SECONDS
        return JobStatus("not answering" if silent else "running", last)
    if isinstance(last, Final):
        return JobStatus(last.kind, last)
    if not (job.folder / "process.json").exists() and time.time() - job.file.created < START_SECONDS:
        return JobStatus("starting", last)
    log = "\n".join(tail(job.log, 16_000).decode(errors="replace").splitlines()[-40:])
    return JobStatus("ended unexpectedly", last, log)
