"""A folder is shown by the system's command, which is a script here; nothing of it stays behind."""

import sys
import time

import psutil
import pytest

from ksh_studio.errors import StudioError
from ksh_studio.ui.server import file_browser
from ksh_studio.ui.server.file_browser import open_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the command is a shell script here")


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Write the command that shows folders: what it does after it has noted the folder."""

    def write(text):
        folder = tmp_path / "bin"
        folder.mkdir()
        script = folder / file_browser.COMMANDS.get(sys.platform, "xdg-open")
        script.write_text(f'#!/bin/sh\necho "$1" >> "{tmp_path / "shown"}"\n{text}\n')
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    return write


def children_of_this_process():
    return {child.pid for child in psutil.Process().children()}


def test_a_folder_is_shown_by_the_systems_command(tmp_path, command):
    command("exit 0")
    before = children_of_this_process()
    open_folder(tmp_path / "그림 & more")
    assert (tmp_path / "shown").read_text().splitlines() == [str(tmp_path / "그림 & more")]
    assert children_of_this_process() <= before


def test_a_command_that_fails_is_said_with_the_path_and_leaves_no_dead_process(tmp_path, command):
    command("exit 3")
    before = children_of_this_process()
    with pytest.raises(StudioError, match="could not be shown") as refused:
        open_folder(tmp_path)
    assert str(tmp_path) in str(refused.value)
    assert children_of_this_process() <= before


def test_a_command_that_cannot_be_started_is_said_with_the_path(tmp_path, command, monkeypatch):
    command("")
    (tmp_path / "bin" / file_browser.COMMANDS.get(sys.platform, "xdg-open")).write_text("no program")
    with pytest.raises(StudioError, match="could not be shown"):
        open_folder(tmp_path)


def test_without_a_file_browser_the_path_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StudioError, match="no file browser") as refused:
        open_folder(tmp_path)
    assert str(tmp_path) in str(refused.value)


def test_a_file_browser_that_stays_open_is_no_failure_and_leaves_no_dead_process(tmp_path, command, monkeypatch):
    monkeypatch.setattr(file_browser, "SECONDS", 0.05)
    command(f'while [ ! -e "{tmp_path / "closed"}" ]; do sleep 0.05; done; exit 1')
    before = children_of_this_process()
    open_folder(tmp_path)
    assert children_of_this_process() - before
    (tmp_path / "closed").touch()
    until = time.monotonic() + 60
    while children_of_this_process() - before and time.monotonic() < until:
        time.sleep(0.02)
    assert children_of_this_process() <= before
