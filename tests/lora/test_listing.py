"""The LoRA files of a workspace."""

import json
import os
import struct

import pytest

from ksh_studio.errors import StudioError
from ksh_studio.lora.file import header
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
        assert [lora.path for lora in list_loras(workspace, project).usable] == [newer, older]
    assert [lora.path for lora in list_loras(workspace).usable] == [friends]


def with_header(path, **entries):
    """A LoRA file whose header has these entries instead of its own."""
    tiny_lora_file(path)
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    text = json.dumps(json.loads(data[8 : 8 + length]) | entries).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def name_of_windows(folder):
    """A name as `unzip` writes it from a zip that was made on Korean Windows."""
    os.rename(
        tiny_lora_file(folder / "x.safetensors"), os.fsencode(folder) + b"/" + "그림체.safetensors".encode("cp949")
    )


def twenty_thousand(path):
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    text = json.dumps({f"t{number}": entry for number in range(header.TENSOR_LIMIT + 1)}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)


LIST_AS_TYPE = {"dtype": ["F16"], "shape": [0], "data_offsets": [0, 0]}
ODD = {
    "a name in cp949": (name_of_windows, "not UTF-8"),
    "a list as type": (lambda folder: with_header(folder / "x.safetensors", odd=LIST_AS_TYPE), "numbers of type"),
    "a pipe": (lambda folder: os.mkfifo(folder / "x.safetensors"), "no ordinary file"),
    "a device": (lambda folder: (folder / "x.safetensors").symlink_to("/dev/zero"), "no ordinary file"),
    "a folder": (lambda folder: (folder / "x.safetensors").mkdir(), "no ordinary file"),
    "a link to nothing": (lambda folder: (folder / "x.safetensors").symlink_to("nothing"), "cannot be read"),
    "too many tensors": (lambda folder: twenty_thousand(folder / "x.safetensors"), "at most 20000"),
    "an empty file": (lambda folder: (folder / "x.safetensors").touch(), "damaged"),
}  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
@pytest.mark.parametrize("case", ODD)
def test_an_odd_file_is_listed_with_the_reason_and_hides_no_other(workspace, project, mine, friends, case):
    make, reason = ODD[case]
    make(workspace.loras)
    loras = list_loras(workspace, project)
    assert {lora.path for lora in loras.usable} == {mine, friends}
    (odd,) = loras.unreadable
    assert reason in odd.reason.text("en")
    assert (odd.path + odd.reason.text("ko")).encode("utf-8")


def test_whatever_goes_wrong_with_one_file_hides_no_other(workspace, mine, project, friends, monkeypatch):
    sizes = header._check_sizes

    def fails(name, shapes):
        if name == friends.name:
            raise TypeError("not foreseen")
        sizes(name, shapes)

    monkeypatch.setattr(header, "_check_sizes", fails)
    loras = list_loras(workspace, project)
    assert [lora.path for lora in loras.usable] == [mine]
    assert [lora.path for lora in loras.unreadable] == ["loras/friend.safetensors"]


def test_half_a_surrogate_and_endless_digits_in_metadata_do_no_harm(workspace):
    metadata = {"ss_sd_model_name": "\ud800x", "ss_steps": "9" * 5000, "\udc00": "x"}
    with_header(workspace.loras / "x.safetensors", __metadata__=metadata)
    (lora,) = list_loras(workspace).usable
    assert (lora.base, lora.step) == ("\N{REPLACEMENT CHARACTER}x", None)
    assert str(lora.metadata).encode("utf-8")


def test_a_file_is_named_by_its_path_in_the_workspace(workspace, project, mine, friends):
    names = {path_in_workspace(workspace, lora): lora.path for lora in list_loras(workspace, project).usable}
    name_of_mine = f"projects/{project.slug}/jobs/20260101-000000-train/loras/mine-000500.safetensors"
    assert names == {name_of_mine: mine, "loras/friend.safetensors": friends}
    assert {find_lora(workspace, name) for name in names} == {mine.resolve(), friends.resolve()}


@pytest.mark.parametrize("name", ["../../etc/passwd", "loras/none.safetensors", "/etc/passwd", "loras"])
def test_a_path_outside_the_workspace_or_to_no_file_is_refused(name, workspace, friends):
    with pytest.raises(StudioError):
        find_lora(workspace, name)
