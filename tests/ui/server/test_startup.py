"""What is done while the page is open already."""

from ksh_studio.disk import LEFT_OVER_SECONDS
from ksh_studio.project import leftovers
from ksh_studio.ui.server import startup
from ksh_studio.ui.server.startup import finish_startup


def test_leftovers_go_at_the_start(studio, monkeypatch):
    monkeypatch.setattr(startup, "import_demo", lambda *_: None)
    upload = studio.workspace.cache / "uploads" / "ab"
    upload.mkdir(parents=True)
    monkeypatch.setattr(leftovers, "_last_change", lambda path: -LEFT_OVER_SECONDS)
    finish_startup(studio, "en")
    assert not upload.exists()
