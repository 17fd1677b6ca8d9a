import io
import os
import stat
import zipfile

import pytest

from ksh_studio.drawings import folders, sources
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


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("그림.png", "cp949"), ("그림.png", "utf-8"), ("かわいい猫.png", "cp932"), ("뷁.png", "cp949")],
)
def test_names_are_read_in_zips_that_do_not_say_their_encoding(project, tmp_path, text, encoding):
    path = zip_of(tmp_path / "a.zip", [("NAMENAME", data_of(picture(1)))])
    name = text.encode(encoding)  # as Korean Windows and macOS write it: no UTF-8 flag
    placeholder = b"NAMENAME"
    data = path.read_bytes()
    entry = zipfile.ZipInfo("x" * len(name))
    path = zip_of(tmp_path / "a.zip", [(entry, data_of(picture(1)))])
    data = path.read_bytes().replace(b"x" * len(name), name)
    assert placeholder not in data
    path.write_bytes(data)
    run_import(path, project)
    assert names_in(project) == [text]


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
    assert left_out(path, project) == (1, {"link.png": "zip_link"})


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


def left_out(path, project):
    imported, _ = run_import(path, project)
    return imported.added, {name: key.removeprefix("import.reason_") for name, key in imported.unreadable}


@pytest.mark.parametrize(
    ("name", "left", "reason"),
    [
        ("Thumbs.db", "Thumbs.db", "system"),
        ("하위/desktop.ini", "하위/desktop.ini", "system"),
        (".DS_Store", ".DS_Store", "system"),
        ("._가.png", "._가.png", "system"),
        ("__MACOSX/._가.png", "__MACOSX", "system"),
        (".숨김.png", ".숨김.png", "hidden"),
        (".cache/가.png", ".cache", "hidden"),
        ("@eaDir/가.png/SYNOPHOTO_THUMB_SM.jpg", "@eaDir", "thumbnails"),
        ("하위/@eaDir/나.png", "하위/@eaDir", "thumbnails"),
        (".thumbnails/가.png", ".thumbnails", "thumbnails"),
        (".@__thumb/가.png", ".@__thumb", "thumbnails"),
        ("$RECYCLE.BIN/S-1-5/가.png", "$RECYCLE.BIN", "bin"),
        ("#recycle/가.png", "#recycle", "bin"),
        (".Trash-1000/files/가.png", ".Trash-1000", "bin"),
        ("System Volume Information/가.png", "System Volume Information", "system"),
        ("sample/last_000500.png", "sample", "sample"),
        ("Samples/e000001_00.png", "Samples", "sample"),
        ("그림-masklabel.png", "그림-masklabel.png", "mask"),
        ("그림-MaskLabel.PNG", "그림-MaskLabel.PNG", "mask"),
        ("그림_mask.png", "그림_mask.png", "mask"),
        ("그림.mask.png", "그림.mask.png", "mask"),
        ("masks/그림.png", "masks/그림.png", "mask"),
        ("a.kra", "a.kra", "krita"),
        ("원화.zip", "원화.zip", "archive"),
        ("a.mp4", "a.mp4", "video"),
        ("a.safetensors", "a.safetensors", "model"),
        ("a.xyz", "a.xyz", "other"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_what_is_no_drawing_is_left_out_and_named(project, folder, tmp_path, name, left, reason, zipped):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" if reason in ("other", "system", "archive", "video", "model") else data_of(picture(9)))
    if reason == "krita":
        path.write_bytes(b"PK\3\4")
    save_pictures(folder, "그림.png")
    if zipped:
        entries = [
            (file.relative_to(folder).as_posix(), file.read_bytes()) for file in folder.rglob("*") if file.is_file()
        ]
        folder = zip_of(tmp_path / "a.zip", [(name, data) for name, data in entries if data])
    assert left_out(folder, project) == (1, {left: reason})


def test_uploads_of_a_folder_are_sorted_as_the_folder_is(project, folder):
    names = [
        "그림/가.png",
        "그림/@eaDir/가.png/thumb.jpg",
        "그림/sample/a_000500.png",
        "그림/가-masklabel.png",
        "그림/a.clip",
    ]
    files = {}
    for number, name in enumerate(names):
        path = folder / str(number)
        picture(number).save(path, "PNG")
        files[path] = name
    (folder / "4").write_bytes(b"CSFCHUNK" + bytes(20))
    imported, _ = run_import(list(files), project, names=files)
    assert (imported.added, dict(imported.unreadable)) == (
        1,
        {
            "그림/@eaDir": "import.reason_thumbnails",
            "그림/sample": "import.reason_sample",
            "그림/가-masklabel.png": "import.reason_mask",
            "그림/a.clip": "import.reason_clip_studio",
        },
    )


def test_drawings_that_are_only_called_like_masks_and_samples_come_in(project, folder):
    save_pictures(folder, "mask.png", "가면_mask.png", "masks/탈.png", "sample.png", "표본/sample_000500.png")
    assert left_out(folder, project) == (5, {})


def test_a_folder_of_samples_comes_in_when_it_is_chosen_itself(project, folder):
    save_pictures(folder, "sample/가.png")
    assert left_out(folder / "sample", project) == (1, {})


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.clip", b"CSFCHUNK" + bytes(40), "clip_studio"),
        ("a.png", b"CSFCHUNK" + bytes(40), "clip_studio"),
        ("b.sai2", b"SAI-CANVAS" + bytes(40), "sai"),
        ("b.sai", bytes(40), "sai"),
        ("c.tga", bytes(40), "tga"),
        ("d.jp2", b"\0\0\0\x0cjP  \r\n" + bytes(40), "jpeg_2000"),
        ("e.ico", b"\0\0\1\0" + bytes(40), "icon"),
        ("f.mdp", b"mdipack" + bytes(40), "medibang"),
        ("g.xcf", b"gimp xcf file" + bytes(40), "gimp"),
        ("h.heic", b"\0\0\0\x18ftypheic" + bytes(40), "heic"),
        ("h.jpg", b"\0\0\0\x18ftypheic" + bytes(40), "heic"),
        ("i.avif", b"\0\0\0\x1cftypavif" + bytes(40), "avif"),
        ("j.tif", b"II*\0" + bytes(40), "tiff"),
        ("k.procreate", b"PK\3\4" + bytes(40), "procreate"),
        ("l.psd", b"8BPS" + bytes(40), "photoshop"),
        ("m.ora", b"PK\3\4" + bytes(40), "paint_program"),
        ("n.jxl", b"\xff\x0a" + bytes(40), "jpeg_xl"),
        ("o.svg", b"<svg/>", "vector"),
        ("p.7z", b"7z\xbc\xaf\x27\x1c" + bytes(40), "archive"),
        ("q.rar", b"Rar!\x1a\7\1" + bytes(40), "archive"),
        ("r.alz", b"ALZ\1" + bytes(40), "archive"),
        ("s.egg", b"EGGA" + bytes(40), "archive"),
        ("t.tar.gz", b"\x1f\x8b" + bytes(40), "archive"),
        ("t.tar", bytes(400), "archive"),
        ("u.zip", b"7z\xbc\xaf\x27\x1c" + bytes(40), "archive"),
        ("v", b"Rar!\x1a\7\1" + bytes(40), "archive"),
    ],
)
def test_files_of_other_programs_are_called_by_their_name(project, folder, name, data, reason):
    (folder / name).write_bytes(data)
    for source in (folder, folder / name):
        with pytest.raises(StudioError) as error:
            list(import_drawings(source, project))
        assert error.value.sentence.values["why"] == f"@import.reason_{reason}"
        assert name in error.value.text("ko")
    save_pictures(folder, "그림.png")
    assert left_out(folder, project) == (1, {name: reason})


def test_all_that_was_left_out_is_named_also_when_nothing_comes_in(project, folder):
    for name in ("a.7z", "b.rar", "c.clip"):
        (folder / name).write_bytes(bytes(40))
    events = import_drawings(folder, project)
    assert [name for name, _ in next(events).unreadable] == ["a.7z", "b.rar", "c.clip"]
    with pytest.raises(StudioError):
        next(events)


def test_a_picture_under_the_name_of_another_program_is_a_picture(project, folder):
    (folder / "a.clip").write_bytes(data_of(picture(1)))
    (folder / "b.tga").write_bytes(data_of(picture(2), "JPEG"))
    assert left_out(folder, project) == (2, {})


def test_a_zip_packed_with_deflate64_is_called_so(project, tmp_path):
    path = zip_of(tmp_path / "a.zip", [("a.png", data_of(picture(1))), ("b.png", data_of(picture(2)))])
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        first = archive.infolist()[0]
    data[first.header_offset + 8] = data[data.index(b"PK\1\2") + 10] = 9
    path.write_bytes(bytes(data))
    assert left_out(path, project) == (1, {"a.png": "zip_method"})


def test_linked_folders_are_followed_and_loops_end(project, folder, tmp_path):
    outside = save_pictures(tmp_path / "elsewhere", "바깥.png", first=20)
    save_pictures(folder, "가.png", "하위/나.png")
    os.symlink(outside, folder / "링크", target_is_directory=True)
    os.symlink(folder, folder / "다시", target_is_directory=True)
    os.symlink(tmp_path, folder / "하위/위로", target_is_directory=True)
    os.symlink("하위", folder / "또", target_is_directory=True)
    os.symlink(outside / "바깥.png", folder / "파일 링크.png")
    os.symlink("없음", folder / "끊긴 링크.png")
    os.symlink("제자리", folder / "제자리")
    assert left_out(folder, project) == (
        3,
        {
            "다시": "same_folder",
            "하위/위로": "same_folder",
            "또": "same_folder",
            "끊긴 링크.png": "broken_link",
            "제자리": "broken_link",
        },
    )
    only = tmp_path / "only"
    only.mkdir()
    os.symlink("../elsewhere", only / "그림")
    assert run_import(only, project)[0].known == 1


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a system where files can be closed")
def test_closed_folders_and_files_are_named_and_the_rest_comes_in(project, folder):
    save_pictures(folder, "가.png", "닫힘/나.png", "다.png")
    (folder / "닫힘").chmod(0)
    (folder / "다.png").chmod(0)
    try:
        assert left_out(folder, project) == (1, {"닫힘": "folder_forbidden", "다.png": "forbidden"})
    finally:
        (folder / "닫힘").chmod(0o700)


def test_a_folder_that_cannot_be_listed_is_named_and_the_rest_comes_in(project, folder, monkeypatch):
    save_pictures(folder, "가.png", "닫힘/나.png")
    real = os.scandir

    def scandir(path):
        if str(path).endswith("닫힘"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(folders.os, "scandir", scandir)
    assert left_out(folder, project) == (1, {"닫힘": "folder_forbidden"})


def test_the_studios_own_folders_are_no_drawings(project, workspace, folder):
    save_pictures(folder, "가.png")
    run_import(folder, project)
    os.symlink(project.root, folder / "프로젝트")
    os.symlink(workspace.root, folder / "작업 공간")
    imported, _ = run_import(folder, project)
    assert dict(imported.unreadable) == {"프로젝트": "import.reason_project", "작업 공간": "import.reason_project"}
    for path in (project.root, workspace.root):
        assert refusal(path, project) == "import.studio_folder"
    imported, _ = run_import(project.drawings, project)
    assert (imported.added, dict(imported.unreadable)) == (0, {"thumbs": "import.reason_project"})


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
