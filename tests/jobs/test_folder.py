import os
import shutil
from pathlib import Path

import pytest

from ksh_studio.config import CaptionConfig, SettledTraining, TrainConfig
from ksh_studio.errors import StudioError
from ksh_studio.jobs.folder import job_at, jobs_of, open_job
from ksh_studio.jobs.requests import request_preview
from ksh_studio.jobs.start import create_job


@pytest.fixture
def job(project):
    return create_job(project, "train", TrainConfig(rank=8))


def test_a_job_is_opened_from_its_folder_with_the_project_and_workspace_around_it(project, job):
    assert open_job(job.folder) == job_at(job.folder, project)
    assert open_job(job.folder / ".." / job.id) == job_at(job.folder, project)
    with pytest.raises(StudioError, match="no readable settings"):
        open_job(project.jobs / "none")


def test_the_settings_come_as_the_class_that_is_asked_for(job):
    assert job.file.config(TrainConfig).rank == 8
    with pytest.raises(StudioError, match="setting"):
        job.file.config(CaptionConfig)


def test_a_job_file_from_before_settled_settings_had_a_class_opens(job):
    """As the studio wrote it in November 2026."""
    (job.folder / "job.json").write_bytes((Path(__file__).parent / "job-of-november-2026.json").read_bytes())
    file = open_job(job.folder).file
    config = file.config(SettledTraining)
    assert (file.stage, file.parent, file.trigger.text) == ("train", None, "drawn by KSH drawing style")
    assert (config.base_model, config.rank, config.resolution, config.max_train_steps) == ("pocket", 8, 128, 300)


def test_a_preview_is_given_once_and_a_damaged_request_is_left_out(job):
    request_preview(job, "a tree", 5)
    (job.control / "preview-now-000002-x.json").write_text("{")
    request_preview(job, "a house")
    assert [(each.prompt, each.seed) for each in job.take_requested_previews()] == [("a tree", 5), ("a house", None)]
    assert job.take_requested_previews() == [] and list(job.control.glob("preview-now-*")) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_an_odd_folder_among_the_jobs_hides_no_job(project, job):
    copy = shutil.copytree(job.folder, project.jobs / "copy")
    os.rename(copy, os.fsencode(project.jobs) + b"/" + "사본".encode("cp949"))
    (project.jobs / "empty").mkdir()
    (project.jobs / "pipe").mkdir()
    (project.jobs / "pipe" / "job.json").mkdir()
    (project.jobs / "file").touch()
    assert jobs_of(project) == [job]
