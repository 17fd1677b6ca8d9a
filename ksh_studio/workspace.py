"""Workspace, project, job folder: every path there is, atomic writes, locks, and the calls that differ by system.

The layout is the design's section 3. Nothing here knows what a drawing or a LoRA is.
"""

import errno
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from ksh_studio.config import ProjectSettings, validated
from ksh_studio.locales import StudioError

ASSETS = Path(__file__).resolve().parent.parent / "assets"
VISITORS = "visitors"
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DEVICE_NAME = re.compile(r"con|prn|aux|nul|(com|lpt)\d")
"""No file or folder may be called so on Windows."""
LOOK_SECONDS = 0.3
"""So long a lock is asked for: `is_locked` itself holds it for the moment of its look."""
REPLACE_SECONDS = 1.0
SHARING_VIOLATIONS = (5, 32)
"""Windows' numbers for a file that somebody has open."""


def default_root() -> Path:
    """The user's data folder of this system, unless KSH_WORKSPACE names another."""
    return Path(os.environ.get("KSH_WORKSPACE") or platformdirs.user_data_path("ksh-studio", appauthor=False))


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the system says of a full or locked disk into a sentence that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StudioError("disk.full", path=path) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StudioError("disk.forbidden", path=path) from error
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it is synced and renamed onto `path` when the block ends well.

    Raises StudioError when the disk is full or may not be written; `path` is then as it was.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield beside
            sync(beside)
            _replace(beside, path)
            sync(path.parent)
        finally:
            beside.unlink(missing_ok=True)


def _replace(beside: Path, path: Path) -> None:
    """Rename onto `path`. Windows refuses while anybody, a page or a virus scanner, has it open: tried for a second."""
    deadline = time.monotonic() + REPLACE_SECONDS
    while True:
        try:
            os.replace(beside, path)
            return
        except PermissionError as error:
            if getattr(error, "winerror", None) not in SHARING_VIOLATIONS or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def sync(path: Path) -> None:
    """Flush a file, or a folder's names, to the disk. Windows cannot sync a folder and needs not."""
    if path.is_dir() and os.name == "nt":
        return
    flags = os.O_RDONLY if path.is_dir() or os.name != "nt" else os.O_RDWR
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file beside, sync, rename."""
    with replacing(path) as beside:
        beside.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 file beside, sync, rename; line ends stay as given."""
    write_bytes(path, text.encode("utf-8"))


def inside(folder: Path, relative: str) -> Path:
    """The path `relative` below `folder`.

    Raises StudioError for a name that leaves the folder, by `..`, as an absolute path or through a link.
    """
    path = folder if "\0" in relative else (folder / relative).resolve()
    if "\0" in relative or not path.is_relative_to(folder.resolve()):
        raise StudioError("disk.outside", path=relative[:200].replace("\0", ""))
    return path


def slug_of(name: str) -> str:
    """An ASCII folder name for a display name in any script; random where nothing ASCII is left."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-")[:40]
    if DEVICE_NAME.fullmatch(slug):
        return f"{slug}-1"
    return slug or f"project-{secrets.token_hex(3)}"


def open_folder(path: Path) -> None:
    """Show a folder in the system's file browser. Raises StudioError where there is none."""
    command = {"win32": ["explorer"], "darwin": ["open"]}.get(sys.platform, ["xdg-open"])
    if shutil.which(command[0]) is None:
        raise StudioError("disk.no_browser", path=path)
    subprocess.Popen(
        [*command, str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@contextmanager
def locked(path: Path, key: str, **values: object) -> Iterator[None]:
    """Hold the lock file `path` for the block; raises StudioError `key` when somebody else works under it."""
    lock = lock_file(path)
    try:
        lock.acquire(timeout=LOOK_SECONDS, poll_interval=0.01)
    except Timeout as error:
        raise StudioError(key, **values) from error
    try:
        yield
    finally:
        lock.release()


def lock_file(path: Path) -> FileLock:
    """An operating-system lock on `path`: free again when the holding process ends, however it ends."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, thread_local=False)


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock file `path`."""
    if not path.exists():
        return False
    lock = lock_file(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


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
        """Written by `catalogue` only."""
        return self.root / "captions.db"

    @property
    def jobs(self) -> Path:
        """One folder a job."""
        return self.root / "jobs"

    @property
    def pictures(self) -> Path:
        """Generated pictures, `<date>/<n>-<seed>.png`."""
        return self.root / "pictures"

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


@dataclass(frozen=True)
class Workspace:
    """The folder that holds all of the studio's data."""

    root: Path

    @property
    def projects_folder(self) -> Path:
        """One folder a project."""
        return self.root / "projects"

    @property
    def trash(self) -> Path:
        """Deleted projects, still whole."""
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
        """Held by the page's server while it runs: one studio a workspace."""
        return self.root / "studio.lock"

    @property
    def start_lock(self) -> Path:
        """Held while a job is being started, so that no two are, and no project goes away meanwhile."""
        return self.root / "start.lock"

    @property
    def device_lock(self) -> Path:
        """Held by whatever works on the GPU or CPU: one owner at a time, also among the visitors of a Space."""
        home = self.root.parent.parent if self.root.parent.name == VISITORS else self.root
        return home / "device.lock"

    @property
    def visitors(self) -> Path:
        """On a Space, one workspace a visitor."""
        return self.root / VISITORS

    def prepare(self) -> None:
        """Make the folders; raises StudioError when the disk does not allow it."""
        try:
            with disk_errors(self.root):
                for folder in (self.projects_folder, self.trash, self.loras, self.cache):
                    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:  # a file stands in the way, a name is too long, a drive is not there
            raise StudioError("disk.no_folder", path=self.root) from error

    def projects(self) -> list[Project]:
        """All projects, by name."""
        found = [Project(path.parent, self) for path in self.projects_folder.glob("*/project.json")]
        return sorted(found, key=lambda project: project.slug)

    def project(self, slug: str) -> Project:
        """The project of this slug. Raises StudioError when there is none."""
        project = Project(self.projects_folder / slug, self)
        if not NAME_PATTERN.fullmatch(slug) or not project.settings_file.is_file():
            raise StudioError("project.unknown", name=slug[:100])
        return project

    def create_project(self, settings: ProjectSettings) -> Project:
        """A new, empty project; two projects may bear the same display name."""
        slug = base = slug_of(settings.name)
        number = 2
        while (self.projects_folder / slug).exists():
            slug, number = f"{base}-{number}", number + 1
        project = Project(self.projects_folder / slug, self)
        project.save_settings(settings)
        return project

    def delete_project(self, project: Project) -> Path:
        """Move a project to the trash and return where it lies now. Raises StudioError while a job of it runs."""
        target = self.trash / f"{datetime.now():%Y%m%d-%H%M%S}-{project.slug}"
        with locked(self.start_lock, "job.starting"), disk_errors(target):
            if any(is_locked(lock) for lock in project.jobs.glob("*/lock")):
                raise StudioError("project.busy", name=project.settings().name)
            self.trash.mkdir(parents=True, exist_ok=True)
            shutil.move(project.root, target)
        return target


def read_json(path: Path) -> dict:
    """A JSON object from a file of ours. Raises StudioError when it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StudioError("disk.unreadable", path=path) from error
