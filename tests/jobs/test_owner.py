"""Who owns a job: one process, recognised by more than its number."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from ksh_studio.jobs.owner import (
    ON_BEHALF,
    OWNER_FILE,
    environment_on_behalf,
    owner_of,
    release_ownership,
    take_ownership,
)


@pytest.fixture
def owner(tmp_path):
    take_ownership(tmp_path)
    return owner_of(tmp_path)


def test_the_process_that_takes_a_job_owns_it(owner):
    assert (owner.pid, owner.starting) == (os.getpid(), False)
    assert owner.is_running() and owner.is_this_process()


@pytest.mark.parametrize("other", [{"began": -1.0}, {"boot": "another start of the machine"}])
def test_a_process_of_the_same_number_is_not_the_owner(owner, other):
    different = dataclasses.replace(owner, **other)
    assert not different.is_running() and not different.is_this_process()


def test_a_released_job_has_no_owner_that_runs_and_is_not_a_new_job(tmp_path, owner):
    release_ownership(tmp_path)
    assert (tmp_path / OWNER_FILE).exists()
    assert not owner_of(tmp_path).is_running() and not owner_of(tmp_path).is_this_process()


def test_a_process_that_helps_the_owner_counts_as_the_owner(tmp_path, owner, monkeypatch):
    other = dataclasses.replace(owner, began=owner.began - 1)
    (tmp_path / OWNER_FILE).write_text(json.dumps(dataclasses.asdict(other)))
    assert not owner_of(tmp_path).is_this_process()
    for name, value in environment_on_behalf(tmp_path).items():
        monkeypatch.setenv(name, value)
    assert owner_of(tmp_path).is_this_process()
    monkeypatch.setenv(ON_BEHALF, owner.identity)
    assert not owner_of(tmp_path).is_this_process()


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"pid": 1}', '{"nothing": 1}'])
def test_a_missing_or_damaged_file_names_no_owner(tmp_path, content):
    if content is not None:
        (tmp_path / OWNER_FILE).write_text(content)
    assert owner_of(tmp_path) is None
    assert environment_on_behalf(tmp_path) == {}


def test_an_owner_that_has_ended_does_not_run(tmp_path):
    taking = f"from pathlib import Path; from ksh_studio.jobs.owner import *; take_ownership(Path({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", taking], check=True)
    assert not owner_of(tmp_path).is_running()
    owner_of(tmp_path).kill()  # of a process that is gone: nothing happens
