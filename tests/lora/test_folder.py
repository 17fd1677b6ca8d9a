"""The folder `loras`: its sub-folders, its links, and the names by which prompts call its files."""

import unicodedata

import pytest

from ksh_studio.errors import StudioError
from ksh_studio.lora.folder import lora_files, paths_by_name, plain_name
from ksh_studio.lora.listing import find_lora, list_loras, path_in_workspace
from tests.tiny import tiny_lora_file


@pytest.fixture
def far(workspace, folder):
    """A LoRA in a sub-folder, and two outside the workspace: links lead to one and to the folder of the other."""
    loras = workspace.loras
    tiny_lora_file(loras / "sub" / "deep.safetensors")
    tiny_lora_file(folder / "linked.safetensors")
    tiny_lora_file(folder / "more" / "inner.safetensors")
    (loras / "linked.safetensors").symlink_to(folder / "linked.safetensors")
    (loras / "elsewhere").symlink_to(folder / "more")
    return loras


def test_menu_choice_and_tags_agree_about_sub_folders_and_links(far, workspace, project):
    headers = list_loras(workspace, project).usable
    names = {path_in_workspace(workspace, header) for header in headers}
    assert names == {"loras/sub/deep.safetensors", "loras/linked.safetensors", "loras/elsewhere/inner.safetensors"}
    assert {find_lora(workspace, name) for name in names} == {header.path for header in headers}
    paths = paths_by_name(workspace, headers)
    for name in ("deep", "sub/deep", "linked", "inner", "elsewhere/inner"):
        assert paths[name] in {header.path for header in headers}
    assert paths["sub/deep"] == paths["deep"] == far / "sub" / "deep.safetensors"


def test_a_link_that_leads_back_ends(far, workspace):
    (far / "sub" / "again").symlink_to(far)
    (far / "twice").symlink_to(far / "elsewhere")
    assert sorted(path.name for path in lora_files(workspace.loras)) == [
        "deep.safetensors",
        "inner.safetensors",
        "linked.safetensors",
    ]


def test_hidden_files_and_other_endings_are_left_out(workspace):
    for name in ("._a.safetensors", ".trash/b.safetensors", "c.txt", "D.SAFETENSORS"):
        tiny_lora_file(workspace.loras / name)
    assert [path.name for path in lora_files(workspace.loras)] == ["D.SAFETENSORS"]


def test_a_link_elsewhere_in_the_workspace_is_still_refused(workspace, project, folder):
    tiny_lora_file(folder / "far.safetensors")
    (project.root / "far.safetensors").symlink_to(folder / "far.safetensors")
    with pytest.raises(StudioError):
        find_lora(workspace, f"projects/{project.slug}/far.safetensors")
    with pytest.raises(StudioError):
        find_lora(workspace, "loras/../../far.safetensors")


def test_a_name_calls_the_path_before_the_file_and_the_file_before_the_name_inside(workspace):
    first = tiny_lora_file(workspace.loras / "ink.safetensors")
    second = tiny_lora_file(workspace.loras / "sub" / "ink.safetensors")
    tiny_lora_file(workspace.loras / "renamed.safetensors", output_name="wash")
    headers = list_loras(workspace).usable
    paths = paths_by_name(workspace, headers)
    assert (paths["ink"], paths["sub/ink"]) == (first, second)
    assert paths["wash"].name == "renamed.safetensors"
    assert "" not in paths


def test_names_are_compared_as_people_write_them():
    taken_apart = unicodedata.normalize("NFD", "수채화")
    assert plain_name(f"{taken_apart}\\a.safetensors") == plain_name("수채화/a") == "수채화/a"
    assert plain_name("ink-v1.5") == "ink-v1.5"
