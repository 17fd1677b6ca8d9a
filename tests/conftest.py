"""What all tests share: a workspace of their own, and a machine that reaches no network."""

import os
import shutil
from pathlib import Path

import pytest

# Before any library is imported: two test processes share two cores, and nothing may look for a network.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

from ksh_studio.config import ProjectSettings  # noqa: E402
from ksh_studio.jobs.spawn import set_environment  # noqa: E402
from ksh_studio.models.device import DeviceInfo  # noqa: E402
from ksh_studio.project.workspace import Project, Workspace  # noqa: E402

set_environment()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if shutil.which("chromium") is not None or os.environ.get("CI"):
        return
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.skip(reason="there is no chromium on this machine"))


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    made = Workspace(tmp_path / "작업 공간")
    made.prepare()
    return made


@pytest.fixture
def project(workspace) -> Project:
    return workspace.create_project(ProjectSettings(name="내 그림"))


@pytest.fixture
def folder(tmp_path) -> Path:
    """An empty folder of the artist's own, outside the workspace."""
    made = tmp_path / "그림 폴더"
    made.mkdir()
    return made


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory) -> Path:
    """A base model of random weights; its modules are imported only where a test needs it."""
    from tests.tiny import tiny_base_folder

    return tiny_base_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def no_probe(monkeypatch) -> None:
    """The studio's device is a CPU, known at once."""
    cpu = DeviceInfo(type="cpu", name="CPU", memory_gb=0.0, bf16=False, torch="2.13", cuda_build=False)
    monkeypatch.setattr("ksh_studio.ui.access.studio.probe", lambda: cpu)
