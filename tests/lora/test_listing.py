"""The LoRA files of a workspace."""

import os

import pytest

from ksh_studio.errors import StudioError
from ksh_studio.lora.listing import find_lora, list_loras, path_in_workspace
from tests.tiny import tiny_lora_file


@pytest.fixture
def mine(project):
    """A file of one of the project's jobs."""
    folder = project.jobs / "20260101-000000-train" / "loras"
    folder.mkdir(parents=True)
    return tiny_lora_file(folder / "mine-000500.safetensors")


@pytest.fixture
def friends(workspace):
    """A file that was brought in from elsewhere."""
    return tiny_lora_file(workspace.loras / "friend.safetensors")


def test_files_that_can_be_read_are_listed_newest_first(workspace, project, mine, friends):
    (workspace.loras / "broken.safetensors").write_bytes(b"x")
    for older, newer in ((mine, friends), (friends, mine)):
        os.utime(older, (1000, 1000))
        os.utime(newer, (2000, 2000))
        assert [lora.path for lora in list_loras(workspace, project)] == [newer, older]
    assert [lora.path for lora in list_loras(workspace)] == [friends]


def test_a_file_is_named_by_its_path_in_the_workspace(workspace, project, mine, friends):
    names = {path_in_workspace(workspace, lora): lora.path for lora in list_loras(workspace, project)}
    name_of_mine = f"projects/{project.slug}/jobs/20260101-000000-train/loras/mine-000500.safetensors"
    assert names == {name_of_mine: mine, "loras/friend.safetensors": friends}
    assert {find_lora(workspace, name) for name in names} == {mine.resolve(), friends.resolve()}


@pytest.mark.parametrize("name", ["../../etc/passwd", "loras/none.safetensors", "/etc/passwd", "loras"])
def test_a_path_outside_the_workspace_or_to_no_file_is_refused(name, workspace, friends):
    with pytest.raises(StudioError):
        find_lora(workspace, name)
