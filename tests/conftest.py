"""What all tests share: markers, a workspace of their own, and a machine that reaches no network."""

import os
import shutil

import pytest

# Before any library is imported: two test processes share two cores, and nothing may look for a network.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Where a tensor happens to lie in memory changes MKL's last bit on some processors, unless it is asked not to.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

from ksh_studio.config import ProjectSettings  # noqa: E402
from ksh_studio.workspace import Project, Workspace  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    for marker in (
        "gpu: needs a CUDA device",
        "models: loads the shipped pocket models",
        "browser: drives the page in a real Chromium",
        "soak: long; not part of CI",
    ):
        config.addinivalue_line("markers", marker)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("-m"):
        return
    for item in items:
        if item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.skip(reason="long: run with -m soak"))
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a GPU: run with -m gpu"))
        if item.get_closest_marker("browser") and shutil.which("chromium") is None and not os.environ.get("CI"):
            item.add_marker(pytest.mark.skip(reason="there is no chromium on this machine"))


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    made = Workspace(tmp_path / "작업 공간")
    made.prepare()
    return made


@pytest.fixture
def project(workspace) -> Project:
    return workspace.create_project(ProjectSettings(name="내 그림"))
