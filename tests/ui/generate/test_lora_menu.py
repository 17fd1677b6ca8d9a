"""The menu of LoRA files: what stands first, and by which names, from the events that the trainings wrote."""

from datetime import datetime

import pytest

from ksh_studio.events import Failed, Finished, LoraSaved, Scored, Stopped, Validated
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.generate.kept_form import first_form
from ksh_studio.ui.generate.lora_menu import lora_menu, suggested_lora
from tests.jobs.written_jobs import append, job_with
from tests.tiny import tiny_lora_file

FINISHED = Finished.saying("train.finished", steps=120, name="x")
STOPPED = Stopped.saying("train.stopped", step=62, total=120)


@pytest.fixture
def owner(studio, project) -> Visit:
    project.change(name="내 그림 – 봄 2026", base_model="tiny")
    return Visit(studio, "owner", "en", studio.workspace, "owner")


def training(project, end, losses, hour=5):
    """A training with a LoRA file and a held-out loss at each of the steps, saved today at this hour."""
    job, now = job_with(project), datetime.now().replace(hour=hour, minute=54).timestamp()
    for step, loss in losses.items():
        path = tiny_lora_file(job.loras / f"2026-{step:06d}.safetensors")
        append(job, Validated(step=step, loss=loss), LoraSaved(step=step, path=project.relative(path), time=now))
    append(job, *([end] if end else []))
    return job


def path_of(job, step):
    return (job.loras / f"2026-{step:06d}.safetensors").relative_to(job.project.workspace.root).as_posix()


def test_the_recommended_lora_of_the_finished_training_stands_first_under_its_projects_name(owner, project):
    finished = training(project, FINISHED, {36: 0.5, 75: 0.1, 120: 0.4})
    stopped = training(project, STOPPED, {62: 0.01}, hour=6)
    tiny_lora_file(project.workspace.loras / "from friends" / "ink.safetensors")
    assert lora_menu(owner, project) == [
        ("no LoRA: the base model alone", ""),
        ("내 그림 – 봄 2026 · step 75 ★ · today 05:54", path_of(finished, 75)),
        ("내 그림 – 봄 2026 · step 120 · today 05:54", path_of(finished, 120)),
        ("내 그림 – 봄 2026 · step 36 · today 05:54", path_of(finished, 36)),
        ("내 그림 – 봄 2026 · step 62 ★ · stopped · today 06:54", path_of(stopped, 62)),
        ("from friends/ink · tiny", "loras/from friends/ink.safetensors"),
    ]
    assert suggested_lora(owner, project) == first_form(owner, project)["lora"] == path_of(finished, 75)


def test_the_newest_of_several_finished_trainings_comes_first(owner, project):
    training(project, FINISHED, {50: 0.1})
    newest = training(project, FINISHED, {20: 0.5})
    training(project, None, {80: 0.1})
    training(project, Failed.saying("train.no_drawings"), {90: 0.1})
    assert suggested_lora(owner, project) == path_of(newest, 20)


def test_the_best_score_is_recommended_where_nothing_was_held_out(owner, project):
    job = training(project, STOPPED, {})
    for step, score in ((10, 0.2), (20, 0.9), (30, 0.3)):
        path = tiny_lora_file(job.loras / f"2026-{step:06d}.safetensors")
        append(job, Scored(step=step, score=score), LoraSaved(step=step, path=project.relative(path)))
    assert suggested_lora(owner, project) == path_of(job, 20)


def test_no_two_entries_are_alike(owner, project):
    first, second = (training(project, FINISHED, {75: 0.1}) for _ in range(2))
    labels = [label for label, _ in lora_menu(owner, project)]
    assert len(set(labels)) == len(labels) == 3
    assert first.id in labels[2] and second.id in labels[1]


def test_a_lora_of_another_base_model_names_it(owner, project):
    training(project, FINISHED, {75: 0.1})
    project.change(base_model="pocket")
    owner = Visit(owner.studio, "owner", "ko", owner.workspace, "owner")
    assert lora_menu(owner, project)[1][0] == "내 그림 – 봄 2026 · 75스텝 ★ · 오늘 05:54 · tiny"


def test_without_a_training_the_first_file_from_elsewhere_is_suggested(owner, project):
    assert suggested_lora(owner, project) == ""
    tiny_lora_file(project.workspace.loras / "ink.safetensors")
    assert suggested_lora(owner, project) == "loras/ink.safetensors"
