from ksh_studio.config import TrainConfig
from ksh_studio.events import (
    LoraSaved,
    Paused,
    Preview,
    Progress,
    Resumed,
    Scored,
    Started,
    Step,
    Stopped,
    Validated,
    Warned,
    to_line,
)
from ksh_studio.jobs.figures import duration, roughly, size
from ksh_studio.jobs.history import Stories
from ksh_studio.jobs.start import create_job
from ksh_studio.jobs.status import JobStatus
from ksh_studio.ui.train.status import headline


def step(number, total=100, pace=0.5):
    return Step(
        step=number, total=total, loss=1 / number, ema_loss=2 / number, learning_rate=1e-4, seconds=number * pace
    )


def job_with(project, *events):
    job = create_job(project, "train", TrainConfig())
    append(job, *events)
    return job


def append(job, *events):
    with job.events_file.open("ab") as file:
        file.writelines(to_line(event) for event in events)


def test_a_story_follows_the_file_as_it_grows_for_all_viewers(project):
    job = job_with(project, Started(stage="train", total=100), step(1))
    stories = Stories()
    assert [event.step for event in stories.of(job).steps] == [1]
    append(job, step(2), Preview(step=0, prompt="p", seed=1, path="jobs/x/previews/a.png"))
    story = stories.of(job)
    assert [event.step for event in story.steps] == [1, 2] and len(story.previews) == 1
    assert stories.of(job) is story


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
    story = Stories().of(job)
    assert [(event.kind, event.step) for event in story.judged()] == [("validated", 2)]
    assert [event.step for event in story.steps] == [1, 2, 3, 4]
    assert story.loras == [] and story.final is None


def test_the_rest_of_the_time_is_the_pace_of_the_latest_steps(project):
    story = Stories().of(job_with(project, *(step(n, pace=0.5) for n in range(1, 51))))
    assert story.remaining_seconds() == 25.0
    assert duration(25.0, "en") == "25 s" and duration(3725, "ko") == "1시간 2분"


def test_the_headline_says_step_loss_and_time_and_warnings(project):
    warned = Warned(key="lora.missing", values={"name": "<script>alert(1)</script>"})
    story = Stories().of(job_with(project, warned, step(1), step(2)))
    said = headline(JobStatus("running", None), story, "en")
    assert "Step 2 of 100 · loss 1.0000 · 2.0 steps/s · 49 s left" in said
    assert "<script>" not in said and "&lt;script&gt;" in said


def test_a_job_that_died_shows_its_last_lines_to_the_owner_only(project):
    story = Stories().of(job_with(project, step(1)))
    died = JobStatus("ended unexpectedly", None, log_tail="Killed <b>")
    assert "Killed &lt;b&gt;" in headline(died, story, "en", log=True)
    assert "Killed" not in headline(died, story, "en")
    assert "예기치 않게" in headline(died, story, "ko")


def test_loading_shows_what_is_loaded_until_the_first_step(project):
    job = job_with(project, Started(stage="train", total=9), Progress(phase="latents", done=3, total=6))
    assert "50.0%" in headline(JobStatus("running", None), Stories().of(job), "en")


def test_memory_and_slow_steps_are_said_in_their_own_units(project):
    slow = [step(n, pace=8.25).model_copy(update={"memory_mb": 5321.0}) for n in (1, 2)]
    said = headline(JobStatus("running", None), Stories().of(job_with(project, *slow)), "en")
    assert "8.2 s a step" in said and "5.3 GB of memory" in said
    assert (size(812.4), roughly(25, "en"), roughly(200, "en")) == ("812 MB", "about 25 s", "about 3 min")


def test_a_paused_job_says_that_the_device_is_free_and_a_queued_one_that_it_waits(project):
    paused = Paused(key="train.stopped", values={"step": "1", "total": "100"})
    story = Stories().of(job_with(project, step(1), paused))
    assert "Generate works" in headline(JobStatus("paused", paused), story, "en")
    assert "waits for its turn" in headline(JobStatus("queued", None), Stories().of(job_with(project)), "en")


def test_work_in_mid_run_leaves_the_bar_where_the_training_is(project):
    job = job_with(project, step(25), Progress(phase="validate", done=0, total=4))
    said = headline(JobStatus("running", None), Stories().of(job), "en")
    assert "25.0%" in said and "Step 25 of 100 · loss 0.0800 · Measuring" in said
