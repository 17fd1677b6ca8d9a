"""Workspace, project, job folder: every path there is.

`assets/docs/architecture.md` shows the folders. Nothing here knows what a drawing or a LoRA is.
"""

import os
import re
import secrets
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import platformdirs

from ksh_studio.config import ProjectSettings
from ksh_studio.disk import disk_errors, is_locked, locked, write_text
from ksh_studio.errors import StudioError, validated
from ksh_studio.paths import FileKind, file_inside, is_device_name, typed_path
from ksh_studio.romanized import romanized

VISITORS = "visitors"
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def default_root() -> Path:
    """The user's data folder of this system, unless KSH_WORKSPACE names another."""
    named = os.environ.get("KSH_WORKSPACE")
    return typed_path(named) if named else platformdirs.user_data_path("ksh-studio", appauthor=False)


def slug_of(name: str) -> str:
    """An ASCII folder name for a display name, Hangul in Latin letters; random where nothing can be written so."""
    slug = re.sub(r"[^a-z0-9]+", "-", romanized(name).lower()).strip("-")[:40].strip("-")
    if is_device_name(slug):
        return f"{slug}-1"
    return slug or f"project-{secrets.token_hex(3)}"


@dataclass(frozen=True)
class Project:
    """One project's folder and the paths in it."""

    root: Path
    workspace: "Workspace"

    @property
    def slug(self) -> str:
        """ASCII folder name."""
        return self.root.name

    @property
    def settings_file(self) -> Path:
        """`project.json`."""
        return self.root / "project.json"

    @property
    def drawings(self) -> Path:
        """Upright RGB copies, `<id>.webp`."""
        return self.root / "drawings"

    @property
    def thumbs(self) -> Path:
        """256 px copies, `<id>.webp`."""
        return self.root / "drawings" / "thumbs"

    @property
    def captions_db(self) -> Path:
        """The database of drawings and captions; only `catalogue` opens it."""
        return self.root / "captions.db"

    @property
    def drawings_lock(self) -> Path:
        """Held while the drawings are imported, captioned or exported: one of these at a time."""
        return self.root / "import.lock"

    @property
    def jobs(self) -> Path:
        """A folder for each job."""
        return self.root / "jobs"

    @property
    def pictures(self) -> Path:
        """Generated pictures, `<date>/<n>-<seed>.png`."""
        return self.root / "pictures"

    def generate_form(self, guest: str = "") -> Path:
        """What stands in the Generate form: the owner's, or that of one guest."""
        return self.root / "generate-forms" / f"{guest or 'owner'}.json"

    def settings(self) -> ProjectSettings:
        """What `project.json` says. Raises StudioError when it cannot be read."""
        try:
            return ProjectSettings.model_validate_json(self.settings_file.read_bytes())
        except (OSError, ValueError) as error:
            raise StudioError("project.unreadable", path=self.settings_file) from error

    def save_settings(self, settings: ProjectSettings) -> None:
        """Replace `project.json`."""
        write_text(self.settings_file, settings.model_dump_json(indent=2))

    def change(self, **values: object) -> ProjectSettings:
        """Replace some settings; raises StudioError when one is out of its bounds."""
        changed = validated(ProjectSettings, self.settings().model_dump() | values)
        self.save_settings(changed)
        return changed

    def relative(self, path: Path) -> str:
        """`path` as events and the page name it: relative to the project, POSIX style."""
        return path.relative_to(self.root).as_posix()

    def file_at(self, relative: str, folder: Path, *kinds: FileKind) -> Path:
        """The file that an event names, by its path relative to the project; it must lie in `folder` of the project.

        Raises StudioError when it does not, or is not of one of these kinds: whoever made a backup may have written
        the event.
        """
        path = file_inside(self.root, relative, *kinds)
        if not path.is_relative_to(folder.resolve()):
            raise StudioError("disk.outside", path=relative)
        return path


@dataclass(frozen=True)
class Workspace:
    """The folder that holds all of the studio's data."""

    root: Path

    @property
    def projects_folder(self) -> Path:
        """A folder for each project."""
        return self.root / "projects"

    @property
    def trash(self) -> Path:
        """Deleted projects, complete."""
        return self.root / "trash"

    @property
    def loras(self) -> Path:
        """LoRA files brought in from elsewhere."""
        return self.root / "loras"

    @property
    def cache(self) -> Path:
        """May be deleted at any time."""
        return self.root / "cache"

    @property
    def studio_lock(self) -> Path:
        """Held by the page's server while it runs: only one may serve a workspace."""
        return self.root / "studio.lock"

    @property
    def start_lock(self) -> Path:
        """Held while a job is being started, so that no two are, and no project is deleted meanwhile."""
        return self.root / "start.lock"

    @property
    def device_lock(self) -> Path:
        """Held by the process that works on the GPU or CPU: one at a time, also among the visitors of a Space."""
        shared = self.root.parent.parent if self.root.parent.name == VISITORS else self.root
        return shared / "device.lock"

    @property
    def visitors(self) -> Path:
        """On a Space: a workspace for each visitor."""
        return self.root / VISITORS

    def prepare(self) -> None:
        """Make the folders; raises StudioError when the disk does not allow it, or they may not be opened."""
        try:
            with disk_errors(self.root):
                for folder in (self.projects_folder, self.trash, self.loras, self.cache):
                    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                    os.listdir(folder)  # of another user: an empty list of projects would look like a loss
        except OSError as error:  # a file stands in the way, a name is too long, a drive is not there
            raise StudioError("disk.no_folder", path=self.root) from error

    def projects(self) -> list[Project]:
        """All projects, sorted by slug; a folder with a name that no project can have is none."""
        folders = [path.parent for path in self.projects_folder.glob("*/project.json")]
        projects = [Project(folder, self) for folder in folders if NAME_PATTERN.fullmatch(folder.name)]
        return sorted(projects, key=lambda project: project.slug)

    def project(self, slug: str) -> Project:
        """The project of this slug. Raises StudioError when there is none."""
        project = Project(self.projects_folder / slug, self)
        if not NAME_PATTERN.fullmatch(slug) or not project.settings_file.is_file():
            raise StudioError("project.unknown", name=slug[:100])
        return project

    def create_project(self, settings: ProjectSettings) -> Project:
        """A new, empty project; two projects may have the same display name."""
        slug = base = slug_of(settings.name)
        number = 2
        while (self.projects_folder / slug).exists():
            slug, number = f"{base}-{number}", number + 1
        project = Project(self.projects_folder / slug, self)
        project.save_settings(settings)
        return project

    def delete_project(self, project: Project) -> Path:
        """Move a project to the trash and return its new folder. Raises StudioError while a job of it runs."""
        target = self.trash / f"{datetime.now():%Y%m%d-%H%M%S}-{project.slug}"
        with locked(self.start_lock, "job.starting"), disk_errors(target):
            if any(is_locked(lock) for lock in project.jobs.glob("*/lock")):
                raise StudioError("project.busy", name=project.settings().name)
            for mark in project.jobs.glob("*/queued"):  # its jobs no longer wait to be started
                mark.unlink()
            self.trash.mkdir(parents=True, exist_ok=True)
            shutil.move(project.root, target)
        return target
