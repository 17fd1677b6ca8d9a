"""Jobs whose `events.jsonl` is written by a test, as a process would have written it."""

from ksh_studio.config import TrainConfig
from ksh_studio.events import Step, to_line
from ksh_studio.jobs.start import create_job


def step(number, total=100, pace=0.5):
    """One training step; pace: seconds a step."""
    return Step(
        step=number, total=total, loss=1 / number, ema_loss=2 / number, learning_rate=1e-4, seconds=number * pace
    )


def job_with(project, *events):
    """A training job of the project with these events."""
    job = create_job(project, "train", TrainConfig())
    append(job, *events)
    return job


def append(job, *events):
    with job.events_file.open("ab") as file:
        file.writelines(to_line(event) for event in events)
