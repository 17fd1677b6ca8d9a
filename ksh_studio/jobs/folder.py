"""One job's folder: the paths in it, its settings, and the requests that wait for it."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from ksh_studio.config import (
    MAX_PROMPT_CHARACTERS,
    C,
    CaptionConfig,
    Config,
    ExportConfig,
    ImportConfig,
    SettledTraining,
    Trigger,
)
from ksh_studio.disk import is_locked
from ksh_studio.errors import StudioError, validated
from ksh_studio.locales import valid_text
from ksh_studio.project.workspace import Project, Workspace

StageName = Literal["import", "export", "caption", "check", "train"]
JobSettings = ImportConfig | ExportConfig | CaptionConfig | SettledTraining
"""What `job.json` may hold: `stages.py` says which class belongs to which stage."""
DEVICE_STAGES: frozenset[StageName] = frozenset({"caption", "check", "train"})
"""Stages that compute on the device. The others neither wait for it nor keep anybody from it."""
DRAWINGS_STAGES: frozenset[StageName] = frozenset({"import", "export", "caption"})
"""Stages that go through all drawings of a project: one after the other."""
log = logging.getLogger(__name__)


class JobFile(Config):
    """`job.json`: a job's complete settings; written once, never changed."""

    stage: StageName
    settings: dict[str, Any]
    """Valid values of the stage's settings class, as JSON has them."""
    trigger: Trigger
    """As it was when the job began."""
    parent: str | None = Field(None, max_length=200)
    """Id of the training job that this one goes on from."""
    created: float = Field(ge=0, le=32_503_680_000)
    """Unix seconds, before the year 3000: every later job is later than this one."""

    def config(self, kind: type[C]) -> C:
        """The settings as the class that the table in `stages.py` names for this stage.

        Raises StudioError when they are no such settings.
        """
        return validated(kind, self.settings)


class RequestedPreview(Config):
    """A preview that was requested while the job works; the bounds are those of `GenerateConfig`."""

    prompt: str = Field(max_length=MAX_PROMPT_CHARACTERS)
    seed: int | None = Field(None, ge=0, le=2**32 - 1)
    """None: the job's own."""


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
        """Held while a process works on the job."""
        return self.folder / "lock"

    @property
    def events_file(self) -> Path:
        """One event a line, appended."""
        return self.folder / "events.jsonl"

    @property
    def reserve(self) -> Path:
        """Takes room on the disk while the job works, for its last event; see `jobs/journal.py`."""
        return self.folder / "reserve"

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
        """Requests to the running job."""
        return self.folder / "control"

    @property
    def queue_mark(self) -> Path:
        """There while the job waits for its turn; holds its place. Written by `jobs/queue.py`."""
        return self.folder / "queued"

    @property
    def file(self) -> JobFile:
        """`job.json`. Raises StudioError when it cannot be read."""
        try:
            return JobFile.model_validate_json((self.folder / "job.json").read_bytes())
        except (OSError, ValueError) as error:
            raise StudioError("job.unreadable", path=self.folder) from error

    @property
    def uses_device(self) -> bool:
        """Whether the job computes on the device; a job whose settings cannot be read counts as one that does."""
        try:
            return self.file.stage in DEVICE_STAGES
        except StudioError:
            return True

    @property
    def uploads(self) -> Path:
        """Files that were uploaded to be imported; deleted when they have been."""
        return self.folder / "uploads"

    def stop_requested(self) -> bool:
        """Whether the artist asked this job to stop."""
        return (self.control / "stop").exists()

    def pause_requested(self) -> bool:
        """Whether the artist asked this job to free the device for a while."""
        return (self.control / "pause").exists()

    def take_requested_previews(self) -> list[RequestedPreview]:
        """The previews requested since the last call, in order; their files are removed."""
        previews: list[RequestedPreview] = []
        for path in self.requested_preview_files():
            try:
                previews.append(RequestedPreview.model_validate_json(path.read_bytes()))
            except (OSError, ValidationError) as error:
                log.warning("%s: %s", path, error)
            path.unlink(missing_ok=True)
        return previews

    def requested_preview_files(self) -> list[Path]:
        """The files of the previews that wait to be drawn, in order."""
        return sorted(self.control.glob("preview-now-*.json"))


def job_at(folder: Path, project: Project) -> Job:
    """The job in this folder of the project. Raises StudioError when there is none."""
    job = Job(folder, project)
    _ = job.file
    return job


def open_job(folder: Path) -> Job:
    """The job in this folder, with the project and the workspace around it. Raises StudioError when there is none."""
    folder = folder.resolve()
    project_folder = folder.parent.parent  # <workspace>/projects/<slug>/jobs/<id>
    return job_at(folder, Project(project_folder, Workspace(project_folder.parent.parent)))


def jobs_of(project: Project, stage: StageName | None = None) -> list[Job]:
    """The project's jobs, newest first, without those whose `job.json` is damaged or whose name is not UTF-8."""
    jobs: list[tuple[float, str, Job]] = []
    for job in (Job(path.parent, project) for path in project.jobs.glob("*/job.json")):
        if valid_text(job.id) != job.id:  # it could not even be named on the page
            log.info("%a is not UTF-8", job.id)
            continue
        try:
            file = job.file
        except StudioError as error:  # one damaged file must not hide the other jobs
            log.info("%s", error)
            continue
        if stage is None or file.stage == stage:
            jobs.append((file.created, job.id, job))
    return [job for _, _, job in sorted(jobs, key=lambda entry: entry[:2], reverse=True)]


def running_job(workspace: Workspace) -> Job | None:
    """The job that works on the device right now, or waits for it, of whatever project."""
    for project in workspace.projects():
        for lock in project.jobs.glob("*/lock"):
            job = Job(lock.parent, project)
            if is_locked(lock) and job.uses_device:
                return job
    return None
