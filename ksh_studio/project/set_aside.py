"""What a restored backup names outside of itself, set aside until the owner allows it.

Models by path or hub id, trackers, folders to import from and to export to: whoever made the backup chose them, and on
Windows a look at a network share is enough to tell its host who is logged in.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from pydantic_core import from_json

from ksh_studio.config import Config
from ksh_studio.disk import write_text
from ksh_studio.errors import StudioError
from ksh_studio.project.workspace import Project

FILE = "set-aside.json"
SHOWN_NAMES, SHOWN_CHARACTERS = 5, 200
MODELS = ("base_model", "captioner")
"""Settings of a project that may be set aside."""
_FILES = ("init_lora", "sources", "target")
_TRACKERS = ("report_to",)


class SetAside(Config):
    """`set-aside.json` of a restored project; gone once the owner has allowed everything."""

    base_model: str | None = None
    captioner: str | None = None
    jobs: dict[str, tuple[str, ...]] = {}
    """What the settings of a job name, by the job's id; such a job does not go on."""
    declined: bool = False
    """The owner does without: nobody is asked again."""

    def names(self) -> str:
        """What is named, for a sentence."""
        of_jobs = (name for names in self.jobs.values() for name in names)
        return shown([name for name in (self.base_model, self.captioner, *of_jobs) if name])


def shown(names: Collection[str]) -> str:
    """The first of the names, each once and not longer than a sentence bears."""
    short = list(dict.fromkeys(name[:SHOWN_CHARACTERS] for name in names))
    return ", ".join(short[:SHOWN_NAMES]) + (f" +{len(short) - SHOWN_NAMES}" if len(short) > SHOWN_NAMES else "")


def set_aside(project: Project, known_models: Collection[str]) -> None:
    """Take what a project just unpacked names outside of itself out of its settings, and note it.

    known_models: names of the registry, which are the studio's own.
    """
    settings = project.settings()
    models = {name: getattr(settings, name) for name in MODELS}
    foreign = {name: value for name, value in models.items() if value and value not in known_models}
    jobs = {path.parent.name: names for path in _job_files(project) if (names := _named(path, known_models))}
    if foreign or jobs:
        _save(project, SetAside(**foreign, jobs=jobs))
        project.save_settings(settings.model_copy(update=dict.fromkeys(foreign)))


def read_set_aside(project: Project) -> SetAside | None:
    """What is set aside; None where nothing is. Raises StudioError when the file cannot be read."""
    path = project.root / FILE
    try:
        return SetAside.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StudioError("disk.unreadable", path=path) from error


def allow(project: Project) -> None:
    """The owner allows what is set aside; a model that they have chosen meanwhile stays."""
    kept = read_set_aside(project)
    if kept is None:
        return
    settings = project.settings()
    project.change(**{name: getattr(settings, name) or getattr(kept, name) for name in MODELS})
    (project.root / FILE).unlink(missing_ok=True)


def decline(project: Project) -> None:
    """The owner does without; a job that names such things still does not go on."""
    kept = read_set_aside(project)
    if kept is not None:
        _save(project, kept.model_copy(update={"declined": True}))


def require_allowed(project: Project, job_id: str) -> None:
    """Raise StudioError for a job of a backup whose settings name what the owner has not allowed."""
    kept = read_set_aside(project)
    if kept is not None and job_id in kept.jobs:
        raise StudioError("backup.job_set_aside", name=job_id, names=shown(kept.jobs[job_id]))


def _save(project: Project, content: SetAside) -> None:
    write_text(project.root / FILE, content.model_dump_json(indent=2))


def _job_files(project: Project) -> Iterator[Path]:
    yield from sorted(project.jobs.glob("*/job.json"))


def _named(path: Path, known_models: Collection[str]) -> tuple[str, ...]:
    """What the settings in a `job.json` name outside of the project."""
    try:
        settings = from_json(path.read_bytes())["settings"]  # as `JobFile` parses it: no two readings of one file
    except (ValueError, KeyError, TypeError):
        return ()  # no job that can go on either
    if not isinstance(settings, Mapping):
        return ()
    values = [*((name, known_models) for name in MODELS), *((name, ()) for name in _FILES)]
    values += [(name, ("none",)) for name in _TRACKERS]
    return tuple(text for name, usual in values for text in _texts(settings.get(name)) if text not in usual)


def _texts(value: object) -> list[str]:
    """The value, or each of several, as text; nothing for what is left empty."""
    each = value if isinstance(value, list) else [value]
    return [str(one) for one in each if one]
