import io
import os
import stat
import zipfile

import pytest

from ksh_studio.drawings import sources
from ksh_studio.drawings.importing import import_drawings
from ksh_studio.drawings.sources import open_sources
from ksh_studio.errors import StudioError
from ksh_studio.project.catalogue import Catalogue
from tests.drawings.pictures import data_of, picture, run_import, save_pictures


def zip_of(path, entries, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data, **options)
    return path


def names_in(project):
    with Catalogue(project) as catalogue:
        return [row.source_path for row in catalogue.drawings()]


def refusal(path, project):
    with pytest.raises(StudioError) as error:
        list(import_drawings(path, project))
    assert "\n" not in error.value.text("en")
    return error.value.sentence.key


def test_a_zip_comes_in_like_its_folder(project, tmp_path):
    path = zip_of(tmp_path / "그림.zip", [("하나/가.png", data_of(picture(1))), ("나.png", data_of(picture(2)))])
    before = path.read_bytes()
    assert run_import(path, project)[0].added == 2
    assert names_in(project) == ["하나/가.png", "나.png"]
    zip_of(path, [("하나/가.png", data_of(picture(1))), ("다.png", data_of(picture(3)))])
    imported, _ = run_import(path, project)
    assert (imported.added, imported.known, imported.gone) == (1, 1, ("나.png",))
    assert path.read_bytes() != before


@pytest.mark.parametrize("encoding", ["cp949", "utf-8"])
def test_names_are_read_in_zips_that_do_not_say_their_encoding(project, tmp_path, encoding):
    path = zip_of(tmp_path / "a.zip", [("NAMENAME", data_of(picture(1)))])
    name = "그림.png".encode(encoding)  # as Korean Windows and macOS write it: no UTF-8 flag
    placeholder = b"NAMENAME"
    data = path.read_bytes()
    entry = zipfile.ZipInfo("x" * len(name))
    path = zip_of(tmp_path / "a.zip", [(entry, data_of(picture(1)))])
    data = path.read_bytes().replace(b"x" * len(name), name)
    assert placeholder not in data
    path.write_bytes(data)
    run_import(path, project)
    assert names_in(project) == ["그림.png"]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../evil.png", "evil.png"),
        ("/etc/evil.png", "etc/evil.png"),
        ("C:\\evil.png", "C:/evil.png"),
        ("a/../../evil.png", "a/evil.png"),
        ("$(touch x).png", "$(touch x).png"),
        ("; rm -rf --flag.png", "; rm -rf --flag.png"),
        ("new\nline.png", "new\N{REPLACEMENT CHARACTER}line.png"),
        ("gnp.\u202elive.png", "gnp.\N{REPLACEMENT CHARACTER}live.png"),
        ("<img src=x onerror=alert(1)>.png", "<img src=x onerror=alert(1)>.png"),
    ],
)
def test_names_are_only_text_and_nothing_is_written_outside(project, tmp_path, name, kept):
    before = {path for path in tmp_path.rglob("*")}
    entry = zipfile.ZipInfo("x")
    entry.filename = name
    run_import(zip_of(tmp_path / "a.zip", [(entry, data_of(picture(1)))]), project)
    assert names_in(project) == [kept]
    new = {path for path in tmp_path.rglob("*")} - before - {tmp_path / "a.zip"}
    assert all(path.is_relative_to(project.root) for path in new)
    assert all(path.name.isascii() for path in new)


def test_links_in_a_zip_are_not_followed(project, tmp_path):
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = zip_of(tmp_path / "a.zip", [(link, "/etc/passwd"), ("b.png", data_of(picture(1)))])
    assert run_import(path, project)[0].added == 1


def test_a_zip_bomb_is_refused_before_it_is_unpacked(project, tmp_path):
    path = zip_of(tmp_path / "a.zip", [("a.png", bytes(300_000_000))])
    assert path.stat().st_size < 400_000
    assert refusal(path, project) == "import.zip_bomb"


def test_too_many_files_are_refused(project, tmp_path, folder, monkeypatch):
    monkeypatch.setattr(sources, "MAX_FILES", 20)
    path = zip_of(tmp_path / "a.zip", [(f"{n}.txt", b"") for n in range(21)])
    assert refusal(path, project) == "import.too_many"
    for number in range(21):
        (folder / f"{number}.txt").touch()
    assert refusal(folder, project) == "import.too_many"


def test_a_hundred_thousand_entries_are_refused(project, tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(50_001):
            archive.writestr(zipfile.ZipInfo(f"{number}.png"), b"")
    (tmp_path / "a.zip").write_bytes(buffer.getvalue())
    assert refusal(tmp_path / "a.zip", project) == "import.too_many"


def test_locked_damaged_and_false_zips_are_sentences(project, tmp_path):
    path = zip_of(tmp_path / "a.zip", [("a.png", data_of(picture(1)))])
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    (tmp_path / "locked.zip").write_bytes(bytes(data))
    (tmp_path / "false.zip").write_bytes("글".encode())
    (tmp_path / "half.zip").write_bytes(path.read_bytes()[:-30])
    (tmp_path / "empty.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    assert refusal(tmp_path / "locked.zip", project) == "import.zip_password"
    assert refusal(tmp_path / "false.zip", project) == "import.bad_zip"
    assert refusal(tmp_path / "half.zip", project) == "import.bad_zip"
    assert refusal(tmp_path / "empty.zip", project) == "import.empty_folder"


def test_one_damaged_entry_is_named_and_the_rest_comes_in(project, tmp_path):
    entries = [("가.png", data_of(picture(1))), ("나.png", data_of(picture(2)))]
    path = zip_of(tmp_path / "a.zip", entries)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        data[archive.infolist()[0].header_offset + 60] ^= 0xFF
    path.write_bytes(bytes(data))
    imported, _ = run_import(path, project)
    assert (imported.added, imported.unreadable) == (1, (("가.png", "import.reason_damaged"),))


def test_two_entries_of_one_name_and_nested_zips(project, tmp_path):
    inner = zip_of(tmp_path / "inner.zip", [("x.png", data_of(picture(9)))]).read_bytes()
    with pytest.warns(UserWarning, match="Duplicate"):
        path = zip_of(tmp_path / "a.zip", [
            ("a.png", data_of(picture(1))), ("a.png", data_of(picture(2))), ("inner.zip", inner),
        ])  # fmt: skip
    assert run_import(path, project)[0].added == 2


def test_clutter_of_operating_systems_is_passed_over(project, folder):
    save_pictures(folder, "가.png", ".숨김.png", "__MACOSX/._가.png")
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / ".DS_Store").write_bytes(b"x")
    assert run_import(folder, project)[0].added == 1


def test_a_loop_of_links_ends(project, folder):
    save_pictures(folder, "가.png")
    os.symlink(folder, folder / "다시", target_is_directory=True)
    assert run_import(folder, project)[0].added == 1


def test_several_sources_come_in_together(project, folder, tmp_path):
    save_pictures(folder, "가.png")
    path = zip_of(tmp_path / "a.zip", [("나.png", data_of(picture(8)))])
    picture(9).save(tmp_path / "다.png")
    assert run_import([folder, path, tmp_path / "다.png"], project)[0].added == 3
    with open_sources([folder, path, tmp_path / "다.png"]) as opened:
        assert [source.root.split("#")[0] for source in opened] == ["그림 폴더", "a.zip", ""]


def test_decomposed_names_of_macos_are_composed(project, folder):
    import unicodedata

    save_pictures(folder, unicodedata.normalize("NFD", "그림.png"))
    (folder / unicodedata.normalize("NFC", "그림.txt")).write_text("a girl", encoding="utf-8")
    assert run_import(folder, project)[0].captions == 1
    assert names_in(project) == ["그림.png"]


def test_two_zips_of_one_name_keep_their_captions_apart(project, tmp_path):
    for number, folder in enumerate(("하나", "둘")):
        (tmp_path / folder).mkdir()
        table = f"image,text\na.png,caption {number}\n".encode()
        zip_of(tmp_path / folder / "a.zip", [("a.png", data_of(picture(number))), ("info.csv", table)])
    assert run_import([tmp_path / "하나/a.zip", tmp_path / "둘/a.zip"], project)[0].captions == 2
    with Catalogue(project) as catalogue:
        assert sorted(row.caption for row in catalogue.drawings()) == ["caption 0", "caption 1"]


def test_a_picture_that_ends_in_a_zip_is_a_picture(project, tmp_path):
    inner = zip_of(tmp_path / "inner.zip", [("x.png", data_of(picture(9)))]).read_bytes()
    (tmp_path / "둘 다.png").write_bytes(data_of(picture(1)) + inner)
    assert run_import([tmp_path / "둘 다.png"], project)[0].added == 1
    assert names_in(project) == ["둘 다.png"]
