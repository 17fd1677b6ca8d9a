"""Stop is quick wherever it comes, and leaves a whole state; a training that lost its job saves nothing."""

import json
import time

import pytest
from safetensors.torch import load_file

from ksh_studio.config import SettledTraining
from ksh_studio.errors import StudioError
from ksh_studio.generation.sampling import denoising
from ksh_studio.jobs.owner import OWNER_FILE, take_ownership
from ksh_studio.jobs.requests import pause_job, stop_job
from ksh_studio.jobs.start import begin_job
from ksh_studio.jobs.status import job_events, job_status
from ksh_studio.training.checkpoint import load_newest
from ksh_studio.training.measures import previews
from ksh_studio.training.stage import train
from tests.faults.counting import wait_for

SECONDS = 15.0
"""Three times the five seconds that are asked for, for a machine that is busy with other tests."""


def whole(job, step):
    """Whether the job's newest checkpoint and LoRA are of this step and can be read."""
    saved = load_newest(job.checkpoints)
    name = f"{job.file.settings['name']}-{step:06d}.safetensors"
    return saved.step == step and saved.damaged == [] and len(load_file(job.loras / name)) > 0


def test_stop_in_the_middle_of_the_steps_ends_the_process_at_once(lesson, monkeypatch):
    monkeypatch.undo()  # the child reads the registry itself
    job = lesson(max_train_steps=100_000, checkpointing_steps=100_000, validation_prompts=("a girl",)).job
    begin_job(job)
    wait_for(lambda: any(event.kind in ("step", "failed") for event in job_events(job)), 120)
    asked = time.monotonic()
    stop_job(job)
    wait_for(lambda: not job_status(job).alive)
    assert time.monotonic() - asked < SECONDS
    last = job_status(job).last
    assert (last.kind, last.key) == ("stopped", "train.stopped")
    assert whole(job, int(last.values["step"]))


@pytest.mark.parametrize(("ask", "kind"), [(stop_job, "stopped"), (pause_job, "paused")])
def test_stop_in_the_middle_of_a_picture_waits_for_one_denoising_step(ask, kind, lesson, monkeypatch):
    made, seen = lesson(max_train_steps=6, validation_steps=3), []

    def make_pictures(base, request, seeds, on_step=None):
        def step(done):
            seen.append(done.done)
            if len(seen) == 5:  # the second of the picture at step 3; that of step 0 has three
                ask(made.job)
            return on_step(done)

        return denoising.make_pictures(base, request.model_copy(update={"num_inference_steps": 3}), seeds, step)

    monkeypatch.setattr(previews, "make_pictures", make_pictures)
    said = made.run()
    assert seen == [1, 2, 3, 1, 2]
    assert (said[-1].kind, said[-1].values["step"]) == (kind, "3")
    assert [event.step for event in said if event.kind == "preview"] == [0]
    assert whole(made.job, 3)
    assert made.run()[-1].kind == "finished"
    assert [event.step for event in made.of("preview")] == [0, 3, 6]


def test_a_training_that_lost_its_job_saves_nothing_more(lesson):
    made = lesson(max_train_steps=6, checkpointing_steps=2)
    said = []
    with pytest.raises(StudioError, match="no longer this process's"):
        for event in train(made.job.file.config(SettledTraining), made.project, made.job):
            said.append(event)
            if event.kind == "lora":
                take_ownership(made.job.folder)
                file = made.job.folder / OWNER_FILE
                file.write_text(json.dumps(json.loads(file.read_text()) | {"began": 1.0}))
    assert [event.step for event in said if event.kind == "checkpoint"] == [2]
    assert [path.name for path in made.job.checkpoints.iterdir()] == ["step-000002"]
    assert [path.name for path in made.job.loras.glob("*.safetensors")] == ["ksh-000002.safetensors"]
