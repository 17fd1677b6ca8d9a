"""Which stages a job can have: the settings class and the generator of events behind each name.

Heavy libraries are imported when a stage is started, in the process that needs them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic

from ksh_studio.config import C, CaptionConfig, ExportConfig, ImportConfig, SettledTraining
from ksh_studio.events import Event
from ksh_studio.jobs.folder import Job, StageName


@dataclass(frozen=True)
class Stage(Generic[C]):
    """One kind of work that a job can do."""

    settings: type[C]
    """The class of the settings in `job.json`."""
    generator: Callable[[C, Job], Iterator[Event]]
    """Does the work and yields what happens."""

    def events(self, job: Job) -> Iterator[Event]:
        """Work on the job. Raises StudioError when its settings are not valid, and what the generator raises."""
        return self.generator(job.file.config(self.settings), job)


def _import(config: ImportConfig, job: Job) -> Iterator[Event]:
    from ksh_studio.drawings.stage import import_for_job

    return import_for_job(config, job)


def _export(config: ExportConfig, job: Job) -> Iterator[Event]:
    from ksh_studio.drawings.stage import export_for_job

    return export_for_job(config, job)


def _caption(config: CaptionConfig, job: Job) -> Iterator[Event]:
    from ksh_studio.captions.stage import caption

    return caption(config, job.project, job.stop_requested)


def _check(config: SettledTraining, job: Job) -> Iterator[Event]:
    from ksh_studio.training.preflight.check import check

    return check(config, job.project, job)


def _train(config: SettledTraining, job: Job) -> Iterator[Event]:
    from ksh_studio.training.stage import train

    return train(config, job.project, job)


AnyStage = Stage[ImportConfig] | Stage[ExportConfig] | Stage[CaptionConfig] | Stage[SettledTraining]
STAGES: Mapping[StageName, AnyStage] = MappingProxyType(
    {
        "import": Stage(ImportConfig, _import),
        "export": Stage(ExportConfig, _export),
        "caption": Stage(CaptionConfig, _caption),
        "check": Stage(SettledTraining, _check),
        "train": Stage(SettledTraining, _train),
    }
)


def stage_events(job: Job) -> Iterator[Event]:
    """Do the job's work in this process and yield what happens."""
    return STAGES[job.file.stage].events(job)
