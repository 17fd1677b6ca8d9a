"""A studio in this process, for tests of the page: no model, no network."""

import pytest

from ksh_studio.generation.worker.handle import Worker
from ksh_studio.models.device import DeviceInfo
from ksh_studio.ui.access.studio import Studio


@pytest.fixture
def no_probe(monkeypatch):
    """The device is a CPU, known at once."""
    found = DeviceInfo(kind="cpu", name="CPU", memory_gb=0.0, bf16=False, torch="2.13", cuda_build=False)
    monkeypatch.setattr("ksh_studio.ui.access.studio.probe", lambda: found)


@pytest.fixture
def studio(workspace, no_probe) -> Studio:
    return Studio(workspace, "local", Worker(workspace))
