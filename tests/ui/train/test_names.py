from ksh_studio.config import TrainConfig
from ksh_studio.events import Finished
from ksh_studio.jobs.figures import moment
from ksh_studio.jobs.start import create_job
from ksh_studio.ui.train.names import training_name, training_name_and_state
from tests.jobs.written_jobs import append


def test_a_training_is_called_by_its_project_and_when_it_began(project):
    job = create_job(project, "train", TrainConfig(max_train_steps=300))
    began = job.file.created
    assert training_name(job, "en") == f"{project.settings().name} · {moment(began, 'en')} · 300 steps"
    assert job.id not in training_name_and_state(job, "ko") and "300스텝" in training_name_and_state(job, "ko")
    (job.folder / "process.json").write_text("{}")
    append(job, Finished(key="train.finished", values={"steps": "300", "name": "x"}))
    assert training_name_and_state(job, "en").endswith(" · finished")


def test_the_name_given_to_the_lora_comes_before_that_of_the_project(project):
    job = create_job(project, "train", TrainConfig(name="<b>spring</b>", max_train_steps=9))
    assert training_name(job, "en").startswith("<b>spring</b> · ")  # escaped where it becomes HTML
    assert "steps" not in training_name(create_job(project, "train", TrainConfig()), "en")
