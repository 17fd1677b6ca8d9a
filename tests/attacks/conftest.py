"""A stand-in tunnel."""

import pytest

from tests.attacks.server import PUBLIC_HOST


@pytest.fixture(autouse=True)
def stand_in_tunnel(monkeypatch):
    """Sharing gives a link at once, and nothing goes out."""
    monkeypatch.setattr("gradio.networking.setup_tunnel", lambda **_: f"https://{PUBLIC_HOST}")
