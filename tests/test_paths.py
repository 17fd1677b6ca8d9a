import os
from urllib.parse import quote

import pytest

from ksh_studio.errors import StudioError
from ksh_studio.paths import (
    JSON,
    PNG,
    SAFETENSORS,
    WEBP,
    file_inside,
    inside,
    is_device_name,
    is_network_path,
    is_plain,
    typed_path,
)

PNG_BYTES = b"\x89PNG\r\n\x1a\n" + bytes(60)
LEADING_OUT = [
    "../x", "a/../../x", "a/../b", "..", "/etc/passwd", "//host/share/x.png", "\\\\host\\share\\x.png", "\\x.png",
    "a\\..\\..\\x", "C:\\x.png", "C:x.png", "c:/x.png", "\\\\?\\C:\\x.png", "\\\\.\\pipe\\x", "a\0b", "a\nb", "",
    "\ud800.png",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """A folder with a file of each kind, and links that lead out of it."""
    folder = tmp_path / "안"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(PNG_BYTES)
    (folder / "out").symlink_to(tmp_path)
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "circle.png").symlink_to(folder / "circle.png")
    (folder / "그림.png").write_bytes(PNG_BYTES)
    (folder / "same.png").symlink_to(folder / "그림.png")
    (folder / "a.webp").write_bytes(b"RIFF\x10\x00\x00\x00WEBPVP8L")
    (folder / "a.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (folder / "a.json").write_bytes(b' {"a": 1}')
    (folder / "key.png").write_bytes(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    (folder / "key").write_bytes(PNG_BYTES)
    (folder / "short.png").write_bytes(b"\x89P")
    (folder / "folder.png").mkdir()
    return folder


@pytest.mark.parametrize("name", [*LEADING_OUT, "out/secret.png", "link.png"])
def test_no_name_leaves_its_folder(folder, name):
    with pytest.raises(StudioError) as error:
        inside(folder, name)
    assert error.value.sentence.key == "disk.outside"
    with pytest.raises(StudioError):
        file_inside(folder, name, PNG)


@pytest.mark.parametrize("name", LEADING_OUT)
def test_a_name_that_leads_out_is_refused_before_the_disk_is_touched(folder, name, monkeypatch):
    """On Windows a look at a share tells its host who is logged in."""
    monkeypatch.setattr(type(folder), "resolve", lambda *_, **__: pytest.fail("the disk was touched"))
    assert not is_plain(name)
    with pytest.raises(StudioError):
        inside(folder, name)


def test_names_in_the_folder_are_resolved(folder):
    assert inside(folder, "a/b") == folder / "a" / "b"
    assert inside(folder, "a..b/.c") == folder / "a..b" / ".c"
    assert file_inside(folder, "그림.png", PNG) == file_inside(folder, "same.png", PNG) == folder / "그림.png"
    assert file_inside(folder, "a.webp", PNG, WEBP) == folder / "a.webp"
    assert file_inside(folder, "a.safetensors", SAFETENSORS) == folder / "a.safetensors"
    assert file_inside(folder, "a.json", JSON) == folder / "a.json"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("key.png", "disk.other_kind"),
        ("key", "disk.other_kind"),
        ("short.png", "disk.other_kind"),
        ("a.webp", "disk.other_kind"),
        ("a.json", "disk.other_kind"),
        ("none.png", "disk.unreadable"),
        ("folder.png", "disk.unreadable"),
        ("circle.png", "disk.outside"),
        ("a" * 300 + ".png", "disk.unreadable"),
        ("그림.png/x.png", "disk.unreadable"),
    ],
)
def test_what_is_no_file_of_the_kind_is_refused_by_name_and_by_content(folder, name, key):
    with pytest.raises(StudioError) as error:
        file_inside(folder, name, PNG)
    assert error.value.sentence.key == key


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
def test_a_pipe_is_never_opened(folder):
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(StudioError):
        file_inside(folder, "pipe.png", PNG)


def test_names_of_devices_and_shares_are_known():
    assert all(is_device_name(name) for name in ("con", "NUL", "com1", "aux.json", "Lpt9.tar.gz"))
    assert not any(is_device_name(name) for name in ("console", "com", "a.con", "nul-1"))
    assert is_network_path("//host/share/x") and is_network_path("\\\\host\\share")
    assert not is_network_path("/home/anna") and not is_network_path("C:\\models") and not is_network_path("org/model")


@pytest.mark.parametrize(
    "typed",
    [
        "{0}", '"{0}"', "'{0}'", "“{0}”", "  {0}  ", '"{0}" ', "\u202a{0}\u202c", "\ufeff{0}", "{0}/", "{0}\n", "<{0}>",
        "file://{1}", "file://localhost{1}", "FILE://{1}", '"file://{1}"', "file:{1}", "file://{0}", "{1}", "{2}",
    ],
)  # fmt: skip
def test_a_path_is_understood_as_people_type_and_paste_it(tmp_path, typed):
    folder = tmp_path / "내 그림 100%"
    folder.mkdir()
    path = str(folder)
    assert typed_path(typed.format(path, quote(path), path.replace(" ", "\\ "))) == folder


def test_what_is_really_called_so_is_taken_as_it_is(tmp_path):
    for name in ('"a"', " a ", "a%20b", "'a'", "a\\ b"):
        (tmp_path / name).mkdir()
        assert typed_path(str(tmp_path / name)) == tmp_path / name


def test_a_typed_path_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert typed_path("rel/하위") == tmp_path / "rel/하위"
    assert typed_path("~/그림") == typed_path('"~/그림"') == tmp_path / "그림"
    assert typed_path("~nobody-has-this-name/x").is_absolute()
    assert typed_path("a\0b").is_absolute()
    assert typed_path("x" * 5000).is_absolute()
    assert typed_path("") == tmp_path


@pytest.mark.parametrize(
    "typed", ["//host/share/x", '"//host/share/x"', " \\\\host\\share", "file://host/share/x", "<//host/share>"]
)
def test_a_network_path_is_one_however_it_is_typed(typed):
    assert is_network_path(typed)


def test_other_paths_are_no_network_paths():
    for typed in ("/home/me/x", '"/home/me/x"', "file:///home/me/x", "file://localhost/home/me", "a/b", "C:\\x", ""):
        assert not is_network_path(typed)
