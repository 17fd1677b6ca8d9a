"""Handlers of the Caption tab, called as the guard calls them."""

import pytest

from ksh_studio.config import ProjectSettings
from ksh_studio.errors import StudioError
from ksh_studio.generation.worker.handle import Worker
from ksh_studio.ui.access.roles import Role
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit, visitor_workspace
from ksh_studio.ui.caption import tab as caption_tab


@pytest.mark.parametrize(("role", "ends"), [("visitor", False), ("owner", True)])
def test_only_the_owner_ends_a_picture_by_captioning(workspace, no_probe, monkeypatch, role: Role, ends):
    studio = Studio(workspace, "space" if role == "visitor" else "local", Worker(workspace))
    theirs = visitor_workspace(workspace, "a" * 40)
    project = theirs.create_project(ProjectSettings(name="x", captioner="pocket"))
    ended, started = [], []
    monkeypatch.setattr(Worker, "end", lambda worker: ended.append(worker))
    monkeypatch.setattr(caption_tab, "start_job", lambda *job: started.append(job))
    with studio.worker._busy:
        try:
            caption_tab.caption(Visit(studio, role, "en", theirs, "key"), project.slug)
        except StudioError as error:
            assert error.sentence.key == "device.drawing"
    assert (bool(ended), bool(started)) == (ends, ends)


def test_a_single_file_as_captioner_is_refused_before_a_job_begins(workspace, no_probe, monkeypatch, tmp_path):
    path = tmp_path / "blip2.safetensors"
    path.write_bytes(b"")
    studio = Studio(workspace, "local", Worker(workspace))
    project = workspace.create_project(ProjectSettings(name="x"))
    started = []
    monkeypatch.setattr(caption_tab, "start_job", lambda *job: started.append(job))
    with pytest.raises(StudioError) as error:
        caption_tab.caption(Visit(studio, "owner", "en", workspace, "key"), project.slug, captioner=str(path))
    assert error.value.sentence.key == "models.captioner_is_a_file"
    assert started == []
