"""A workspace and a backup of the studio before its modules were moved: everything opens, and every training resumes.

`old_workspace.tar.xz` holds the workspace of commit 88eb5a7: a project on the pocket models, its caption job, its
trainings of six steps (finished, stopped and paused at step 3, killed with a checkpoint of step 2, queued) and a
picture; `backup.zip` is that project's backup. Checkpoints that no test needs are left out.
"""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ksh_studio.generation.pictures.gallery import pictures_of
from ksh_studio.generation.pictures.recipe import read_recipe
from ksh_studio.jobs.folder import jobs_of
from ksh_studio.jobs.process import run_job
from ksh_studio.jobs.queue import queued_jobs
from ksh_studio.jobs.requests import forget_requests
from ksh_studio.jobs.status import job_events, job_status
from ksh_studio.lora.file.header import read_header
from ksh_studio.models.registry import registered_names
from ksh_studio.project.backup import restore
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.project.workspace import Workspace
from ksh_studio.stages import stage_events

pytestmark = pytest.mark.slow

ARCHIVE = Path(__file__).with_name("old_workspace.tar.xz")
STATES = {
    "caption": "finished",
    "done": "finished",
    "stopped": "stopped",
    "paused": "paused",
    "cut": "ended unexpectedly",
    "queued": "queued",
}
CAPTION = "a person, 파란 머리"
PROMPT = "a person, drawn by KSH drawing style"


@pytest.fixture
def archive(tmp_path) -> Path:
    shutil.unpack_archive(ARCHIVE, tmp_path, filter="data")
    return tmp_path


@pytest.fixture
def old_project(archive):
    (project,) = Workspace(archive / "workspace").projects()
    return project


def jobs_by_name(project):
    """The project's trainings by the name of their LoRA, and its caption job."""
    return {job.file.settings.get("name", job.file.stage): job for job in jobs_of(project)}


def resume(job):
    """Do the rest of the job in this process."""
    forget_requests(job)
    return list(run_job(job, stage_events))


def last_lora(job):
    return load_file(job.loras / f"{job.file.settings['name']}-000006.safetensors")


def assert_has_the_old_content(project):
    settings = project.settings()
    assert (settings.name, settings.base_model, settings.captioner) == ("내 그림", "pocket", "pocket")
    assert settings.trigger.apply("a cat") == "a cat drawn by KSH drawing style"
    with Catalogue(project) as catalogue:
        drawings = catalogue.drawings()
        assert sorted(drawing.original_name for drawing in drawings) == ["그림 0.png", "그림 1.png", "그림 2.png"]
        assert all(drawing.path(project).is_file() and drawing.caption for drawing in drawings)
        assert [drawing.caption for drawing in drawings].count(CAPTION) == 1
    (picture,) = pictures_of(project)
    recipe = read_recipe(picture.path)
    assert recipe.exact and recipe.parameters.startswith(PROMPT)
    assert (recipe.config.prompt, recipe.config.seed, recipe.config.num_inference_steps) == (PROMPT, 1, 4)


def test_captions_jobs_loras_and_pictures_are_read(old_project):
    assert_has_the_old_content(old_project)
    jobs = jobs_by_name(old_project)
    assert {name: job_status(job).state for name, job in jobs.items()} == STATES
    assert [job.id for job in queued_jobs(old_project.workspace)] == [jobs["queued"].id]
    steps = {name: [event.step for event in job_events(job) if event.kind == "step"] for name, job in jobs.items()}
    assert steps["done"] == [1, 2, 3, 4, 5, 6] and steps["stopped"] == steps["paused"] == [1, 2, 3]
    assert read_header(jobs["done"].loras / "done-000006.safetensors").rank == 1


def test_the_backup_restores(archive, workspace):
    project = restore(archive / "backup.zip", workspace, known_models=registered_names())
    assert_has_the_old_content(project)
    states = {name: job_status(job).state for name, job in jobs_by_name(project).items()}
    assert states == STATES | {"queued": "ended unexpectedly"}  # a backup holds no place in the queue


@pytest.mark.models
@pytest.mark.timeout(900)
def test_what_was_stopped_paused_or_killed_is_resumed_and_ends_as_the_finished_one(old_project):
    """Not to the bit: the first steps may have been computed by another kind of processor than this one."""
    jobs = jobs_by_name(old_project)
    finished = last_lora(jobs["done"])
    for name, begin in (("stopped", 3), ("paused", 3), ("cut", 2)):
        events = resume(jobs[name])
        assert events[-1].kind == "finished", events[-1]
        assert [event.step for event in events if event.kind == "resumed"] == [begin]
        assert [event.step for event in job_events(jobs[name]) if event.kind == "step"] == [1, 2, 3, 4, 5, 6]
        assert job_status(jobs[name]).state == "finished"
        lora = last_lora(jobs[name])
        assert lora.keys() == finished.keys()
        differences = torch.cat([(lora[key].float() - finished[key].float()).flatten() for key in finished])
        whole = torch.cat([finished[key].float().flatten() for key in finished])
        assert differences.norm() < 1e-2 * whole.norm()
    stopped, paused = (last_lora(jobs[name]) for name in ("stopped", "paused"))
    assert all(torch.equal(stopped[key], paused[key]) for key in stopped)
