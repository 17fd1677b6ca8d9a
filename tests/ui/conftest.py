"""A studio in this process, for tests of the page: no model, no network."""

import pytest

from ksh_studio.generation.worker.handle import Worker
from ksh_studio.ui.access.studio import Studio


@pytest.fixture
def studio(workspace, no_probe) -> Studio:
    return Studio(workspace, "local", Worker(workspace))
