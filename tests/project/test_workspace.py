import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from ksh_studio.config import ProjectSettings
from ksh_studio.disk import is_locked, locked
from ksh_studio.errors import StudioError
from ksh_studio.project.workspace import Project, Workspace, slug_of


def test_a_name_in_any_script_gets_an_ascii_slug():
    assert slug_of("Ink & Wash 2") == "ink-wash-2"
    assert slug_of("내 그림") == "nae-geurim"
    assert slug_of("日本").isascii() and slug_of("日本").startswith("project-")


def test_a_project_of_an_older_studio_keeps_its_folder(workspace):
    project = Project(workspace.projects_folder / "project-6a7928", workspace)
    project.save_settings(ProjectSettings(name="수채화"))
    assert workspace.project("project-6a7928").settings().name == "수채화"
    assert workspace.create_project(ProjectSettings(name="수채화")).slug == "suchaehwa"


@pytest.mark.parametrize("name", ["CON", "aux", "com1", "Lpt9"])
def test_no_project_bears_a_name_that_windows_keeps_for_itself(name):
    assert slug_of(name) == f"{name.lower()}-1"
    assert slug_of(f"{name}a") == f"{name.lower()}a"


def test_projects_are_made_renamed_and_deleted_to_the_trash(workspace):
    first = workspace.create_project(ProjectSettings(name="수채화 style"))
    second = workspace.create_project(ProjectSettings(name="수채화 style"))
    assert first.slug == "suchaehwa-style"
    assert second.slug == "suchaehwa-style-2"
    first.change(name="새 이름 \"'<b>")
    assert workspace.project("suchaehwa-style").settings().name == "새 이름 \"'<b>"
    trashed = workspace.delete_project(second)
    assert [project.slug for project in workspace.projects()] == ["suchaehwa-style"]
    assert json.loads((trashed / "project.json").read_text(encoding="utf-8"))["name"] == "수채화 style"


def test_a_project_with_a_running_job_is_not_deleted(workspace, project):
    lock = project.jobs / "one" / "lock"
    with locked(lock, "job.running", name="one"):
        assert is_locked(lock)
        with pytest.raises(StudioError, match="working right now"):
            workspace.delete_project(project)
    assert not is_locked(lock)
    workspace.delete_project(project)


@pytest.mark.parametrize("slug", ["", "..", "../projects", "nobody", "a/b", "x" * 300])
def test_an_unknown_project_is_one_sentence(workspace, slug):
    with pytest.raises(StudioError, match="no project"):
        workspace.project(slug)


@pytest.mark.parametrize("name", ["a file", "a file/below", "x" * 300])
def test_a_workspace_that_cannot_be_a_folder_is_one_sentence(tmp_path, name):
    (tmp_path / "a file").touch()
    with pytest.raises(StudioError, match="cannot be a folder"):
        Workspace(tmp_path / name).prepare()


def test_a_workspace_that_may_not_be_written_is_one_sentence(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StudioError, match="may not be written"):
        Workspace(tmp_path / "w").prepare()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_folder_with_a_name_that_no_project_has_hides_no_project(workspace, project):
    copy = shutil.copytree(project.root, workspace.projects_folder / "copy")
    os.rename(copy, os.fsencode(workspace.projects_folder) + b"/" + "사본".encode("cp949"))
    assert workspace.projects() == [project]
