"""Which stages a job can have: the generator of events behind each name, imported when it is asked for."""

from collections.abc import Iterator

from ksh_studio.events import Event
from ksh_studio.jobs.folder import Job


def stage_of(job: Job) -> Iterator[Event]:
    """The events of a job's stage. Heavy libraries are imported here, in the process that needs them."""
    file = job.file
    config = file.config()
    match file.stage:
        case "caption":
            from ksh_studio.captions.stage import caption

            return caption(config, job.project, job.stop_requested)
        case "check":
            from ksh_studio.training.preflight.check import check

            return check(config, job.project, job)
        case "train":
            from ksh_studio.training.stage import train

            return train(config, job.project, job)
