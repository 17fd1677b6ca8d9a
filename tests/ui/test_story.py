import time

from ksh_studio import jobs
from ksh_studio.config import TrainConfig
from ksh_studio.events import (
    Checkpoint,
    Finished,
    LoraSaved,
    Preview,
    Progress,
    Resumed,
    Started,
    Step,
    Stopped,
    Warned,
    to_line,
)
from ksh_studio.jobs import JobStatus
from ksh_studio.ui.story import SHOWN_POINTS, Stories
from ksh_studio.ui.train_view import duration, headline, loss_chart, results, timeline


def step(number, total=100, pace=0.5):
    return Step(
        step=number, total=total, loss=1 / number, ema_loss=2 / number, learning_rate=1e-4, seconds=number * pace
    )


def job_with(project, *events):
    job = jobs.create(project, "train", TrainConfig())
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
        project, *(step(n) for n in range(1, 6)), lora, Stopped(key="train.stopped"), Resumed(step=3), step(4)
    )
    story = Stories().of(job)
    assert [event.step for event in story.steps] == [1, 2, 3, 4]
    assert story.loras == [] and story.final is None


def test_the_rest_of_the_time_is_the_pace_of_the_latest_steps(project):
    story = Stories().of(job_with(project, *(step(n, pace=0.5) for n in range(1, 51))))
    assert story.remaining_seconds() == 25.0
    assert duration(25.0, "en") == "25 s" and duration(3725, "ko") == "1시간 2분"


def test_ten_thousand_steps_are_at_most_five_hundred_points_and_a_tick_is_fast(project):
    job = job_with(project, *(step(n, 10_000) for n in range(1, 10_001)))
    stories = Stories()
    stories.of(job)
    began = time.perf_counter()
    story = stories.of(job)
    chart = loss_chart(story, "en")
    assert time.perf_counter() - began < 0.5
    assert len(story.points()) <= SHOWN_POINTS
    assert chart.count(",") <= 2 * SHOWN_POINTS + 10


def test_the_headline_says_step_loss_and_time_and_warnings(project):
    warned = Warned(key="lora.missing", values={"name": "<script>alert(1)</script>"})
    story = Stories().of(job_with(project, warned, step(1), step(2)))
    said = headline(JobStatus("running", None), story, "en")
    assert "Step 2 of 100 · loss 1.0000" in said and "49 s left" in said
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


def test_previews_stand_in_a_row_a_prompt_from_before_training_on(project):
    named = [(step, f"<i>{prompt}</i>") for step in (0, 50) for prompt in "ab"]
    previews = [Preview(step=step, prompt=prompt, seed=1, path=f"jobs/j/{step}.png") for step, prompt in named]
    shown = timeline(project, previews, "en")
    assert shown.count('class="ksh-timeline"') == 2 and shown.count("<img") == 4
    assert "before training" in shown and "step 50" in shown and "<i>" not in shown


def test_results_link_the_newest_file_to_who_may_download(project):
    saved = [LoraSaved(step=step, path=f"jobs/j/loras/demo-{step}.safetensors") for step in (10, 20)]
    finished = Finished(key="train.finished", figures={"seconds": 90.0})
    job = job_with(project, *saved, Checkpoint(step=20, path="c"), finished)
    story = Stories().of(job)
    shown = results(project, story, "en", may_download=True)
    assert shown.index("demo-20") < shown.index("demo-10") and shown.count("download>") == 2
    assert "1 min 30 s" in shown
    assert "download>" not in results(project, story, "en", may_download=False)
