"""What a killed process has left goes; what a living one works on, and everything else, stays."""

import os
import subprocess
import sys
import time

import pytest

from ksh_studio import ROOT, disk
from ksh_studio.disk import LEFT_OVER_SECONDS, locked, unfinished
from ksh_studio.project.leftovers import clean_leftovers
from ksh_studio.project.workspace import Workspace

KILLED = """
import os, sys
from pathlib import Path
from ksh_studio.disk import replacing, unfinished
root = Path(sys.argv[1])
staged = unfinished(root / "restoring")
(staged / "drawings").mkdir(parents=True)
(staged / "drawings" / "a.webp").write_bytes(b"x")
with replacing(root / "projects" / "p.zip") as beside:
    beside.write_bytes(b"half")
    print(staged, beside, sep="\\n", flush=True)
    if len(sys.argv) > 2:
        sys.stdin.read()
    os._exit(9)
"""


def process(workspace, *arguments):
    command = [sys.executable, "-c", KILLED, str(workspace.root), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def old(monkeypatch):
    """Makes a file or folder as if nobody had touched it for a day."""

    def make(path, folder=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if folder else path.write_bytes(b"x")
        before = time.time() - LEFT_OVER_SECONDS - 60
        os.utime(path, (before, before))
        return path

    return make


def test_half_a_project_and_half_a_zip_go_once_their_process_is_gone(workspace, project):
    dead = process(workspace)
    left = set(dead.communicate()[0].split("\n")[:2])
    alive = process(workspace, "wait")
    kept = {alive.stdout.readline().strip() for _ in range(2)}
    try:
        assert {str(path) for path in clean_leftovers(workspace)} == left
        assert all(map(os.path.exists, kept))
    finally:
        alive.communicate("")
    assert {str(path) for path in clean_leftovers(workspace)} == kept
    assert Workspace(workspace.root).projects() == [project]


def test_what_a_process_elsewhere_may_work_on_goes_after_a_day(workspace, project, old, monkeypatch):
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(disk, "_processes", lambda: "0123abcd")
        fresh, stale = unfinished(project.root / "new.json"), old(unfinished(project.root / "old.json"))
    fresh.write_bytes(b"x")
    before = old(project.root / ".captions.db.01234567.tmp")  # as the studio wrote it earlier
    assert set(clean_leftovers(workspace)) == {stale, before}
    assert fresh.exists()


def test_old_downloads_and_uploads_go_and_what_is_not_ours_stays(workspace, project, old):
    outgoing = workspace.cache / "outgoing" / "p" / "backup"
    gone = {
        old(outgoing / "p.zip"),
        old(outgoing / "tmpabcd1234", folder=True),
        old(workspace.cache / "uploads" / "ab"),
    }
    kept = [old(workspace.loras / "a.tmp"), old(project.root / ".hidden.tmp"), old(workspace.cache / "training" / "ab")]
    new = outgoing / "new.zip"
    new.write_bytes(b"x")
    assert set(clean_leftovers(workspace)) == gone
    assert all(path.exists() for path in (*kept, new))


def test_the_room_that_a_killed_job_had_kept_is_free_again(project):
    dead, alive = project.jobs / "a" / "reserve", project.jobs / "b" / "reserve"
    for path in (dead, alive):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
    with locked(alive.with_name("lock"), "job.running"):
        assert clean_leftovers(project.workspace) == [dead]


@pytest.mark.skipif(os.name == "nt", reason="Windows needs a right for links")
def test_a_link_is_not_followed(workspace, tmp_path, old):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    inside = old(elsewhere / ".a.01234567.tmp")
    (workspace.root / "linked").symlink_to(elsewhere)
    assert clean_leftovers(workspace) == [] and inside.exists()
