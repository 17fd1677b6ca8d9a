"""The gallery is the folder on disk: newest first, numbered without races."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from ksh_studio import ROOT
from ksh_studio.disk import lock_file
from ksh_studio.errors import StudioError
from ksh_studio.generation.pictures import gallery
from ksh_studio.generation.pictures.gallery import add_picture, pictures_of

ADD = """
import sys
from pathlib import Path
from ksh_studio.generation.pictures.gallery import add_picture
from ksh_studio.project.workspace import Workspace
project = Workspace(Path(sys.argv[1])).project(sys.argv[2])
for seed in range(10):
    add_picture(project, b"png", seed)
"""


def test_pictures_come_newest_first_whatever_else_lies_there(project):
    for date, names in {
        "2026-01-02": ["00001-5.png", "00010-6.png", "00002-7.png"],
        "2025-12-31": ["00001-8.png"],
    }.items():
        folder = project.pictures / date
        folder.mkdir(parents=True)
        for name in [*names, "note.txt", ".00003-1.png.tmp", "x-1.png"]:
            (folder / name).touch()
    (project.pictures / "not a date").mkdir()
    (project.pictures / "file").touch()
    assert [(p.date, p.number, p.seed) for p in pictures_of(project)] == [
        ("2026-01-02", 10, 6),
        ("2026-01-02", 2, 7),
        ("2026-01-02", 1, 5),
        ("2025-12-31", 1, 8),
    ]
    assert [p.number for p in pictures_of(project, limit=2)] == [10, 2]


def test_a_project_without_pictures_has_none(project):
    assert pictures_of(project) == []


def test_two_processes_and_many_threads_never_take_the_same_number(project):
    command = [sys.executable, "-c", ADD, str(project.workspace.root), project.slug]
    others = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda seed: add_picture(project, b"png", seed), range(20)))
    assert [other.wait(timeout=60) for other in others] == [0, 0]
    assert sorted(picture.number for picture in pictures_of(project)) == list(range(1, 41))


def test_a_folder_that_stays_locked_is_one_sentence(project, monkeypatch):
    path = add_picture(project, b"png", 1)
    monkeypatch.setattr("ksh_studio.generation.pictures.gallery.NUMBERING_SECONDS", 0.1)
    with lock_file(path.parent / ".numbering.lock"), pytest.raises(StudioError) as error:
        add_picture(project, b"png", 2)
    assert error.value.sentence.key == "generate.numbering_busy"


def test_an_odd_name_in_the_folder_of_pictures_hides_no_picture(project, monkeypatch):
    path = add_picture(project, b"png", 7)
    (path.parent / "00002-1.png").mkdir()
    (project.pictures / "2026-01-01").mkdir()
    (project.pictures / "2026-01-02").touch()
    scandir = os.scandir

    def closed(folder):
        if folder.name == "2026-01-01":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(gallery.os, "scandir", closed)
    assert [picture.path for picture in pictures_of(project)] == [path]
    assert add_picture(project, b"png", 1).name == "00003-1.png"
