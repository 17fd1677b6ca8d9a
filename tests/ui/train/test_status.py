from ksh_studio.events import Paused, Progress, Started, Warned
from ksh_studio.jobs.history import JobHistories
from ksh_studio.jobs.status import JobStatus
from ksh_studio.ui.train.status import headline
from tests.jobs.written_jobs import job_with, step


def test_the_headline_says_step_loss_and_time_and_warnings(project):
    warned = Warned(key="lora.missing", values={"name": "<script>alert(1)</script>"})
    history = JobHistories().of(job_with(project, warned, step(1), step(2)))
    said = headline(JobStatus("running", None), history, "en")
    assert "Step 2 of 100 · loss 1.0000 · 2.0 steps/s · 49 s left" in said
    assert "<script>" not in said and "&lt;script&gt;" in said


def test_a_job_that_died_is_said_so(project):
    history = JobHistories().of(job_with(project, step(1)))
    assert "예기치 않게" in headline(JobStatus("ended unexpectedly", None), history, "ko")


def test_loading_shows_what_is_loaded_until_the_first_step(project):
    job = job_with(project, Started(stage="train", total=9), Progress(phase="latents", done=3, total=6))
    assert "50.0%" in headline(JobStatus("running", None), JobHistories().of(job), "en")


def test_memory_and_slow_steps_are_said_in_their_own_units(project):
    slow = [step(n, pace=8.25).model_copy(update={"memory_mb": 5321.0}) for n in (1, 2)]
    said = headline(JobStatus("running", None), JobHistories().of(job_with(project, *slow)), "en")
    assert "8.2 s a step" in said and "5.3 GB of memory" in said


def test_a_paused_job_says_that_the_device_is_free_and_a_queued_one_that_it_waits(project):
    paused = Paused(key="train.stopped", values={"step": "1", "total": "100"})
    history = JobHistories().of(job_with(project, step(1), paused))
    assert "Generate works" in headline(JobStatus("paused", paused), history, "en")
    assert "waits for its turn" in headline(JobStatus("queued", None), JobHistories().of(job_with(project)), "en")


def test_work_in_mid_run_leaves_the_bar_where_the_training_is(project):
    job = job_with(project, step(25), Progress(phase="validate", done=0, total=4))
    said = headline(JobStatus("running", None), JobHistories().of(job), "en")
    assert "25.0%" in said and "Step 25 of 100 · loss 0.0800 · Measuring" in said
