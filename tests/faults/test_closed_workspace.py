"""A workspace of another user, or on a read-only disk: a sentence everywhere, on the page and in the terminal."""

import errno
import os

import gradio as gr
import pytest

from ksh_studio import disk
from ksh_studio.cli.main import main
from ksh_studio.config import CaptionConfig
from ksh_studio.drawings.importing import import_drawings
from ksh_studio.errors import StudioError
from ksh_studio.events import Started
from ksh_studio.jobs.process import run_job
from ksh_studio.jobs.start import create_job
from ksh_studio.ui.access.guard import guarded, guarded_call
from tests.ui.open_page import OpenPage, studio_for

CLOSED = "may not be written or opened"


@pytest.fixture
def closed(monkeypatch):
    """No lock may be written any more, as on a disk that became read-only."""

    def refuse(lock, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", lock.lock_file)

    return lambda: monkeypatch.setattr(disk.FileLock, "acquire", refuse)


@pytest.fixture
def page(workspace, no_probe):
    with gr.Blocks() as blocks:
        gr.Textbox(elem_id="project-slug")
    return OpenPage(studio_for(workspace, "owner"), "owner", blocks)


COMMANDS = {
    "studio": ("--no-browser",),
    "import": ("--project", "p", "."),
    "generate": ("--project", "p"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_ends_with_a_sentence(workspace, closed, capsys, command):
    main(["--workspace", str(workspace.root), "import", "--project", "p", os.devnull])
    closed()
    assert main(["--workspace", str(workspace.root), command, *COMMANDS[command]]) == 1
    error = capsys.readouterr().err
    assert CLOSED in error and "--workspace" in error and "Traceback" not in error


def test_projects_that_may_not_be_listed_are_not_taken_for_none(workspace, monkeypatch, capsys):
    listdir = os.listdir

    def refuse(folder):
        if folder == workspace.projects_folder:
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", refuse)
    assert main(["--workspace", str(workspace.root), "queue"]) == 1
    assert CLOSED in capsys.readouterr().err


def test_an_import_says_it(project, closed, folder):
    closed()
    with pytest.raises(StudioError, match=CLOSED):
        list(import_drawings(folder, project))


@pytest.mark.parametrize("streamed", [False, True])
def test_a_handler_of_the_page_says_it(page, streamed):
    def raised(visit):
        raise PermissionError(errno.EACCES, "Permission denied", str(visit.workspace.root / "x"))

    def stream(visit):
        yield raised(visit)

    handler = guarded(page.studio, "look", stream if streamed else raised)
    with pytest.raises(gr.Error, match=CLOSED):
        answer = handler(page.request)
        next(answer) if streamed else answer


def test_a_call_of_the_grid_says_it(page):
    def call(visit, values):
        raise OSError(errno.EROFS, "Read-only file system")

    answer = guarded_call(page.studio, "look", call)([], page.request)
    assert not answer["ok"] and CLOSED in answer["message"] and str(page.studio.workspace.root) in answer["message"]


def test_a_job_fails_with_it(project):
    def stage(_):
        yield Started(stage="caption", total=1)
        raise OSError(errno.EROFS, "Read-only file system", "somewhere")

    job = create_job(project, "caption", CaptionConfig())
    assert list(run_job(job, stage))[-1].key == "disk.forbidden"
