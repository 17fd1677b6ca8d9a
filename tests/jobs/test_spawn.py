"""Children of the studio: what they know of our environment, and that they compute as every process does."""

import os

import pytest

from ksh_studio.cli.main import main
from ksh_studio.jobs import spawn as spawning
from ksh_studio.jobs.spawn import COMPUTING, set_computing_environment, spawn


@pytest.fixture
def environment_of_child(monkeypatch):
    """The environment that a spawned process would get."""
    monkeypatch.setattr(spawning.subprocess, "Popen", lambda *_, env, **__: env)
    return lambda: spawn(["doctor"])


@pytest.fixture
def untouched(monkeypatch):
    """As in an artist's terminal: nothing of what decides about rounding is set."""
    for name in COMPUTING:
        monkeypatch.setenv(name, "")  # so that monkeypatch sets it back afterwards
        monkeypatch.delenv(name)


def test_a_child_gets_no_token(monkeypatch, environment_of_child):
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("OAUTH_CLIENT_SECRET", "secret")
    assert "secret" not in environment_of_child().values()


def test_the_command_line_computes_as_a_child_of_the_page_does(untouched, environment_of_child):
    child = environment_of_child()
    assert main(["settings"]) == 0
    assert {name: os.environ.get(name) for name in COMPUTING} == {name: child[name] for name in COMPUTING}
    assert os.environ["MKL_CBWR"] == "AUTO,STRICT"


@pytest.mark.parametrize("name", [*COMPUTING, "OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_what_the_artist_has_set_stays_in_every_process(name, untouched, environment_of_child, monkeypatch):
    monkeypatch.setenv(name, "theirs")
    set_computing_environment()
    assert os.environ[name] == environment_of_child()[name] == "theirs"
