"""The visitors of a Space: each gets a workspace with the demo, and old ones are deleted."""

import pytest

from ksh_studio.errors import StudioError
from ksh_studio.generation.worker.handle import Worker
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visitors import clean_visitors, welcome
from tests.journeys.browser import demo_of


def test_a_full_space_takes_no_new_visitor_but_keeps_the_old_ones(workspace, no_probe, monkeypatch):
    studio = Studio(workspace, "space", Worker(workspace))
    old, new = (type(workspace)(workspace.visitors / (name * 40)) for name in "ab")
    welcome(studio, old, "en")
    monkeypatch.setattr("ksh_studio.ui.access.visitors.LEAST_FREE", 10**18)
    welcome(studio, old, "en")
    with pytest.raises(StudioError, match="no room"):
        welcome(studio, new, "en")
    assert not new.root.exists()


def test_a_visitor_arrives_to_the_demos_drawings_and_old_visitors_are_cleaned_up(workspace, no_probe):
    demo_of(workspace, 2, "a cat")
    studio = Studio(workspace, "space", Worker(workspace))
    visitor = type(workspace)(workspace.visitors / ("a" * 40))
    welcome(studio, visitor, "ko")
    welcome(studio, visitor, "ko")
    project = visitor.project("demo")
    assert len(list(project.drawings.glob("*.webp"))) == 2 and project.captions_db.is_file()
    assert {path.stat().st_nlink for path in project.drawings.glob("*.webp")} == {2}  # no copy on the disk
    assert clean_visitors(workspace) == []
    assert clean_visitors(workspace, hours=-1) == ["a" * 40]
    assert not visitor.root.exists()
