"""Children of the studio: what they know of our environment, and that they compute as every process does."""

import os

import pytest

from ksh_studio.cli.main import main
from ksh_studio.jobs import spawn as spawning
from ksh_studio.jobs.spawn import COMPUTING, set_environment, spawn


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


SECRETS = "HF_TOKEN HUGGING_FACE_HUB_TOKEN OAUTH_CLIENT_SECRET WANDB_API_KEY KSH_PASSWORD AWS_SECRET_ACCESS_KEY".split()
NEEDED = (
    "HSA_OVERRIDE_GFX_VERSION HIP_VISIBLE_DEVICES CUDA_DEVICE_ORDER CUDA_VISIBLE_DEVICES TZ NCCL_DEBUG LD_PRELOAD "
    "PYTORCH_CUDA_ALLOC_CONF PYTORCH_ENABLE_MPS_FALLBACK WANDB_MODE TRACKIO_SPACE_ID LC_TIME ALL_PROXY https_proxy "
    "HF_ENDPOINT KSH_WORKSPACE MALLOC_CONF TORCH_HOME HF_HOME"
).split()


@pytest.mark.parametrize("name", SECRETS)
def test_a_child_gets_no_token(name, monkeypatch, environment_of_child):
    monkeypatch.setenv(name, "canary")
    assert "canary" not in environment_of_child().values()


@pytest.mark.parametrize("name", NEEDED)
def test_a_child_gets_what_gpus_libraries_and_the_clock_are_set_by(name, monkeypatch, environment_of_child):
    monkeypatch.setenv(name, "theirs")
    assert environment_of_child()[name] == "theirs"


def test_what_belongs_to_other_programs_stays_with_the_parent(monkeypatch, environment_of_child):
    monkeypatch.setenv("MY_BANK_PIN", "1234")
    assert "MY_BANK_PIN" not in environment_of_child()


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_no_proxy_is_asked_for_this_machine(name, monkeypatch):
    monkeypatch.setenv(name, "intranet.example")
    set_environment()
    set_environment()
    assert os.environ[name] == "intranet.example,localhost,127.0.0.1,::1"


def test_the_command_line_computes_as_a_child_of_the_page_does(untouched, environment_of_child):
    child = environment_of_child()
    assert main(["settings"]) == 0
    assert {name: os.environ.get(name) for name in COMPUTING} == {name: child[name] for name in COMPUTING}
    assert os.environ["MKL_CBWR"] == "AUTO,STRICT"


@pytest.mark.parametrize("name", [*COMPUTING, "OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_what_the_artist_has_set_stays_in_every_process(name, untouched, environment_of_child, monkeypatch):
    monkeypatch.setenv(name, "theirs")
    set_environment()
    assert os.environ[name] == environment_of_child()[name] == "theirs"
