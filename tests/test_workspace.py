import contextlib
import errno
import json
import os
import threading

import pytest

from ksh_studio import workspace as disk
from ksh_studio.config import ProjectSettings
from ksh_studio.locales import StudioError
from ksh_studio.workspace import Workspace, inside, is_locked, lock_file, locked, replacing, slug_of, write_text


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    target = tmp_path / "info.json"
    write_text(target, "old")
    with pytest.raises(RuntimeError), replacing(target) as beside:
        beside.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["info.json"]


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path, monkeypatch):
    target = tmp_path / "info.json"
    write_text(target, "old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(disk.os, "fsync", full)
    with pytest.raises(StudioError, match="The disk is full"):
        write_text(target, "new")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["info.json"]


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a\0b", "link/x"])
def test_no_name_leaves_its_folder(tmp_path, name):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(StudioError, match="outside"):
        inside(folder, name)
    assert inside(folder, "a/b") == folder / "a" / "b"


def test_a_korean_name_gets_an_ascii_slug():
    assert slug_of("Ink & Wash 2") == "ink-wash-2"
    assert slug_of("내 그림").isascii()
    assert slug_of("내 그림").startswith("project-")


@pytest.mark.parametrize("name", ["CON", "aux", "com1", "Lpt9"])
def test_no_project_bears_a_name_that_windows_keeps_for_itself(name):
    assert slug_of(name) == f"{name.lower()}-1"
    assert slug_of(f"{name}a") == f"{name.lower()}a"


def test_projects_are_made_renamed_and_deleted_to_the_trash(workspace):
    first = workspace.create_project(ProjectSettings(name="수채화 style"))
    second = workspace.create_project(ProjectSettings(name="수채화 style"))
    assert first.slug == "style"
    assert second.slug == "style-2"
    first.change(name="새 이름 \"'<b>")
    assert workspace.project("style").settings().name == "새 이름 \"'<b>"
    trashed = workspace.delete_project(second)
    assert [project.slug for project in workspace.projects()] == ["style"]
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

    monkeypatch.setattr(disk.Path, "mkdir", refuse)
    with pytest.raises(StudioError, match="may not be written"):
        Workspace(tmp_path / "w").prepare()


def test_a_look_at_a_lock_does_not_keep_anybody_from_taking_it(workspace):
    """Pages look at every job's lock each second; a job that starts at that moment must not be told it runs already."""
    looking = lock_file(workspace.studio_lock)
    looking.acquire(timeout=0)
    threading.Timer(0.05, looking.release).start()
    with locked(workspace.studio_lock, "device.busy"):
        assert is_locked(workspace.studio_lock)


@pytest.mark.parametrize(("refusals", "written"), [(3, "new"), (1000, "old")])
def test_a_file_that_windows_says_is_open_is_replaced_when_it_is_free(tmp_path, monkeypatch, refusals, written):
    target, replace, refused = tmp_path / "project.json", os.replace, []
    write_text(target, "old")

    def on_windows(source, to):
        if len(refused) < refusals:
            error = PermissionError(errno.EACCES, "in use")
            error.winerror = 32
            refused.append(error)
            raise error
        replace(source, to)

    monkeypatch.setattr(disk.os, "replace", on_windows)
    monkeypatch.setattr(disk, "REPLACE_SECONDS", 0.2)
    with contextlib.suppress(StudioError):
        write_text(target, "new")
    assert target.read_text() == written
    assert os.listdir(tmp_path) == ["project.json"]
