from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "그림 폴더"
    made.mkdir()
    return made
