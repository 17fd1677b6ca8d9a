"""Import and export as jobs: what they read and where they write, and what is left of them when they end."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from ksh_studio.config import ExportConfig, ImportConfig
from ksh_studio.drawings.exporting import export
from ksh_studio.drawings.importing import import_locked
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Finished, Stopped
from ksh_studio.jobs.folder import Job, jobs_of
from ksh_studio.paths import inside

NAMES_SUFFIX = ".names"
"""Ending of the files in `uploads/` that hold the names of the others; no backup keeps files of this kind."""


def import_for_job(config: ImportConfig, job: Job) -> Iterator[Event]:
    """Import the folders and files that the settings name, or what was uploaded into the job's folder.

    Uploads are deleted once they have been imported, or the artist has stopped that; a job that was killed goes on with
    them. Events and errors are those of `import_locked`.
    """
    paths, names = [Path(source) for source in config.sources], dict[Path, str]()
    if not paths:
        names = uploaded_names(job.uploads)
        paths = list(names)
        if not paths:
            raise StudioError("import.uploads_gone")
    for event in import_locked(paths, job.project, names, job.stop_requested):
        if isinstance(event, Finished | Stopped):
            shutil.rmtree(job.uploads, ignore_errors=True)
        yield event


def uploaded_names(uploads: Path) -> dict[Path, str]:
    """The complete uploads in this folder, in their order, with the names and folders that they had.

    Each file `*.names` lists one portion, as a mapping from the name in this folder to the original one.
    """
    names: dict[Path, str] = {}
    for portion in sorted(uploads.glob(f"*{NAMES_SUFFIX}")):
        for stored, original in json.loads(portion.read_text(encoding="utf-8")).items():
            names[inside(uploads, stored)] = original
    return names


def export_for_job(config: ExportConfig, job: Job) -> Iterator[Event]:
    """Export to where the settings say, or to a zip in the job's folder; zips of earlier exports are then deleted."""
    target = Path(config.target) if config.target else exported_zip(job, config)
    if not config.target:
        for earlier in jobs_of(job.project, "export"):
            if earlier != job:
                for zipped in earlier.folder.glob("*.zip"):
                    zipped.unlink(missing_ok=True)
        target.unlink(missing_ok=True)  # of this job, when it was resumed
    yield from export(job.project, target, config.format, job.stop_requested, config.names)


def exported_zip(job: Job, config: ExportConfig) -> Path:
    """Where an export without a target of its own writes to."""
    return job.folder / f"{job.project.slug}-{config.format.replace('.', '_')}.zip"
