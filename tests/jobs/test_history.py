from ksh_studio.events import LoraSaved, Preview, Resumed, Scored, Started, Stopped, Validated
from ksh_studio.jobs.history import JobHistories
from tests.jobs.written_jobs import append, job_with, step


def test_a_story_follows_the_file_as_it_grows_for_all_viewers(project):
    job = job_with(project, Started(stage="train", total=100), step(1))
    histories = JobHistories()
    assert [event.step for event in histories.of(job).steps] == [1]
    append(job, step(2), Preview(step=0, prompt="p", seed=1, path="jobs/x/previews/a.png"))
    history = histories.of(job)
    assert [event.step for event in history.steps] == [1, 2] and len(history.previews) == 1
    assert histories.of(job) is history


def test_what_an_earlier_life_said_of_later_steps_is_void(project):
    lora = LoraSaved(step=4, path="jobs/x/loras/a.safetensors")
    job = job_with(
        project,
        *(step(n) for n in range(1, 6)),
        lora,
        Validated(step=2, loss=0.1),
        Validated(step=5, loss=0.1),
        Scored(step=5, score=0.5),
        Stopped(key="train.stopped"),
        Resumed(step=3),
        step(4),
    )
    history = JobHistories().of(job)
    assert [(event.kind, event.step) for event in history.measurements()] == [("validated", 2)]
    assert [event.step for event in history.steps] == [1, 2, 3, 4]
    assert history.loras == [] and history.final is None


def test_the_rest_of_the_time_is_the_pace_of_the_latest_steps(project):
    history = JobHistories().of(job_with(project, *(step(n, pace=0.5) for n in range(1, 51))))
    assert history.remaining_seconds() == 25.0
