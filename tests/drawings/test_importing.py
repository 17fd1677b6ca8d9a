import errno
import hashlib

import pytest
from PIL import Image

from ksh_studio import disk
from ksh_studio.drawings import groups
from ksh_studio.drawings.importing import import_drawings, import_locked
from ksh_studio.errors import StudioError
from ksh_studio.events import Imported, Progress
from ksh_studio.project.catalogue import Catalogue
from tests.drawings.pictures import picture, run_import, save_pictures


def hashes(folder):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_of_any_depth_comes_in_and_is_left_as_it_was(project, folder):
    save_pictures(folder, "그림 1.png", "하나/둘/그림 2.png", "하나/세 번째.bmp")
    before = hashes(folder)
    imported, warned = run_import(folder, project)
    assert (imported.added, imported.known, imported.captions) == (3, 0, 0)
    assert (imported.duplicates, imported.unreadable, imported.gone, warned) == ((), (), (), [])
    assert hashes(folder) == before
    with Catalogue(project) as catalogue:
        rows = catalogue.drawings()
    assert [row.source_path for row in rows] == ["그림 1.png", "하나/둘/그림 2.png", "하나/세 번째.bmp"]
    for row in rows:
        assert row.id == row.file_sha256[:16] == before[folder / row.source_path][:16]
        with Image.open(row.path(project)) as stored, Image.open(folder / row.source_path) as original:
            assert stored.format == "WEBP"
            assert stored.convert("RGB").tobytes() == original.tobytes()
        with Image.open(row.thumb(project)) as thumb:
            assert thumb.size == (48, 40)


def test_progress_counts_every_file_to_the_end(project, folder):
    save_pictures(folder, "가.png", "나.png", "다.png")
    done = [event.done for event in import_drawings(folder, project) if isinstance(event, Progress)]
    assert done == [0, 3]


def test_an_event_counts_only_drawings_that_are_on_disk(project, folder, monkeypatch):
    monkeypatch.setattr(groups, "GROUP_FILES", 2)
    save_pictures(folder, *(f"{n}.png" for n in range(5)))
    (folder / "4.txt").write_text("the last one", encoding="utf-8")
    done = []
    for event in import_drawings(folder, project):
        if isinstance(event, Progress):
            done.append(event.done)
            with Catalogue(project) as catalogue:
                drawings = catalogue.drawings()
            assert len(drawings) == event.done
            assert all(row.path(project).exists() and row.thumb(project).exists() for row in drawings)
    assert done == [0, 2, 4, 5]
    assert [row.caption for row in drawings if row.caption] == ["the last one"]


def test_copies_of_one_drawing_in_the_same_group_are_written_once(project, folder):
    picture(0).save(folder / "a.png")
    picture(0).save(folder / "b.bmp")
    imported, _ = run_import(folder, project)
    assert (imported.added, imported.duplicates) == (1, (("b.bmp", "a.png"),))
    assert len(list(project.drawings.glob("*.webp"))) == len(list(project.thumbs.glob("*.webp"))) == 1


def test_stop_ends_the_import_after_what_was_read_and_commits_that(project, folder):
    save_pictures(folder, *(f"{n}.png" for n in range(30)))
    *_, progress, last = import_locked([folder], project, should_stop=lambda: True)
    added = progress.done  # none where the stop comes before the first one is decoded
    assert last.key == "import.stopped" and last.values == {"added": str(added), "left": str(30 - added)}
    assert added <= 1
    with Catalogue(project) as catalogue:
        assert catalogue.counts()["all"] == added
    imported, _ = run_import(folder, project)
    assert (imported.added, imported.known) == (30 - added, added)


def test_a_grown_folder_adds_only_what_is_new_keeps_captions_and_lists_what_is_gone(project, folder):
    save_pictures(folder, "가.png", "나.png", "다.png", "라.png")
    run_import(folder, project)
    with Catalogue(project) as catalogue:
        for row in catalogue.drawings():
            catalogue.save_caption(row.id, f"그림 {row.original_name}")
    (folder / "나.png").unlink()
    (folder / "다.png").rename(folder / "옮김.png")
    picture(77).save(folder / "라.png")
    save_pictures(folder, "새 그림.png", first=50)
    imported, warned = run_import(folder, project)
    assert (imported.added, imported.known, imported.gone) == (2, 2, ("나.png",))
    assert [(event.key, event.values["names"]) for event in warned] == [("import.changed", "라.png")]
    with Catalogue(project) as catalogue:
        captions = {row.original_name: row.caption for row in catalogue.drawings() if row.caption}
        assert catalogue.counts()["all"] == 6
    assert captions == {name: f"그림 {name}" for name in ("가.png", "나.png", "다.png", "라.png")}
    imported, warned = run_import(folder, project)
    assert (imported.added, imported.known, imported.gone, warned) == (0, 4, ("나.png",), [])


def test_exact_duplicates_are_named_by_file_and_by_pixels(project, folder):
    save_pictures(folder, "가.png", "나.png")
    (folder / "복사.png").write_bytes((folder / "가.png").read_bytes())
    picture(0).save(folder / "하.bmp")
    imported, _ = run_import(folder, project)
    assert imported.added == 2
    assert imported.duplicates == (("복사.png", "가.png"), ("하.bmp", "가.png"))
    imported, _ = run_import(folder, project)
    assert (imported.added, imported.known) == (0, 2)
    assert imported.duplicates == (("복사.png", "가.png"), ("하.bmp", "가.png"))


def test_a_twin_keeps_the_first_caption_and_the_other_is_named(project, folder):
    save_pictures(folder, "가.png", "다.png")
    for name in ("나.png", "라.png"):
        (folder / name).write_bytes((folder / "가.png").read_bytes())
    (folder / "마.png").write_bytes((folder / "다.png").read_bytes())
    for name, text in (("가", "first"), ("나", "second"), ("라", "first"), ("마", "only the twin has one")):
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    for captions in (2, 0):
        imported, warned = run_import(folder, project)
        assert imported.captions == captions
        assert [(event.key, event.values["count"], event.values["names"]) for event in warned] == [
            ("import.twin_captions", "1", "나.png (= 가.png)")
        ]
        with Catalogue(project) as catalogue:
            texts = {row.original_name: row.caption for row in catalogue.drawings()}
        assert texts == {"가.png": "first", "다.png": "only the twin has one"}


def test_a_twin_from_another_folder_does_not_replace_the_caption(project, folder, tmp_path):
    save_pictures(folder, "가.png")
    (folder / "가.txt").write_text("first", encoding="utf-8")
    run_import(folder, project)
    other = save_pictures(tmp_path / "other", "copy.png")
    (other / "copy.txt").write_text("second", encoding="utf-8")
    imported, warned = run_import(other, project)
    assert (imported.captions, [event.key for event in warned]) == (0, ["import.twin_captions"])
    (folder / "가.txt").write_text("renewed", encoding="utf-8")
    assert run_import(folder, project)[0].captions == 1


def test_uploaded_files_keep_the_names_they_had(project, folder):
    save_pictures(folder, "tmp1.png", "tmp2.png")
    names = {folder / "tmp1.png": "눈 오는 날.png", folder / "tmp2.png": "../../etc/passwd.png"}
    imported, _ = run_import([folder / "tmp1.png", folder / "tmp2.png"], project, names=names)
    assert imported.added == 2
    with Catalogue(project) as catalogue:
        assert [row.original_name for row in catalogue.drawings()] == ["passwd.png", "눈 오는 날.png"]


def test_content_beats_the_ending(project, folder):
    picture(1).save(folder / "그림.dat", "PNG")
    picture(2).save(folder / "사진", "JPEG")
    picture(3).save(folder / "거짓.png", "JPEG")
    assert run_import(folder, project)[0].added == 3


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda folder: None, "import.empty_folder"),
        (lambda folder: (folder / "메모.txt").write_text("글", encoding="utf-8"), "import.no_pictures"),
        (lambda folder: (folder / "그림.png").write_text("글", encoding="utf-8"), "import.none_readable"),
    ],
)
def test_a_folder_without_drawings_is_one_sentence(project, folder, make, key):
    make(folder)
    with pytest.raises(StudioError) as error:
        list(import_drawings(folder, project))
    assert error.value.sentence.key == key
    assert "\n" not in error.value.text("ko")
    assert "the file" not in error.value.text("ko")


def test_a_path_that_is_not_there_is_one_sentence(project, folder):
    with pytest.raises(StudioError) as error:
        list(import_drawings(folder / "없음", project))
    assert error.value.sentence.key == "import.not_there"
    with pytest.raises(StudioError) as error:
        list(import_drawings([], project))
    assert error.value.sentence.key == "import.nothing_chosen"


def test_unreadable_files_are_listed_and_the_rest_comes_in(project, folder):
    save_pictures(folder, "가.png", "하.png")
    whole = (folder / "가.png").read_bytes()
    (folder / "끊김.png").write_bytes(whole[: len(whole) // 2])
    (folder / "빈.png").write_bytes(b"")
    (folder / "벡터.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "스케치.psd").write_bytes(b"8BPS" + bytes(100))
    Image.new("RGB", (1, 20_000)).save(folder / "좁음.png")
    imported, _ = run_import(folder, project)
    assert imported.added == 2
    assert dict(imported.unreadable) == {
        "끊김.png": "import.reason_damaged",
        "빈.png": "import.reason_empty",
        "벡터.svg": "import.reason_vector",
        "스케치.psd": "import.reason_photoshop",
        "좁음.png": "import.reason_narrow",
    }


def test_a_full_disk_keeps_what_was_made_and_the_import_goes_on_later(project, folder, monkeypatch):
    save_pictures(folder, *(f"그림 {n}.png" for n in range(6)))
    monkeypatch.setattr(groups, "GROUP_FILES", 3)
    written = 0
    real = disk.sync

    def sync(path):
        nonlocal written
        written += path.suffix == ".tmp"
        if written > 6:  # two files a drawing
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path)

    monkeypatch.setattr(disk, "sync", sync)
    with pytest.raises(StudioError) as error:
        list(import_drawings(folder, project))
    assert error.value.sentence.key == "disk.full"
    with Catalogue(project) as catalogue:
        assert len(catalogue.drawings()) == 3
    assert list(project.root.rglob("*.tmp")) == []
    monkeypatch.setattr(disk, "sync", real)
    imported, _ = run_import(folder, project)
    assert (imported.added, imported.known) == (3, 3)


def test_a_lost_copy_is_made_again(project, folder):
    save_pictures(folder, "가.png")
    run_import(folder, project)
    with Catalogue(project) as catalogue:
        row = catalogue.drawings()[0]
    row.path(project).unlink()
    imported, _ = run_import(folder, project)
    assert (imported.added, imported.known, row.path(project).exists()) == (0, 1, True)


def test_an_excluded_drawing_does_not_come_back(project, folder):
    save_pictures(folder, "가.png", "나.png")
    run_import(folder, project)
    with Catalogue(project) as catalogue:
        catalogue.exclude(catalogue.drawings()[0].id)
    assert run_import(folder, project)[0].added == 0
    with Catalogue(project) as catalogue:
        assert [row.original_name for row in catalogue.drawings()] == ["나.png"]


def test_an_import_that_is_cut_off_keeps_what_it_committed(project, folder, monkeypatch):
    monkeypatch.setattr(groups, "GROUP_FILES", 3)
    save_pictures(folder, *(f"{n}.png" for n in range(8)))
    events = import_drawings(folder, project)
    while not (isinstance(event := next(events), Progress) and event.done == 3):
        pass
    events.close()
    with Catalogue(project) as catalogue:
        assert catalogue.counts()["all"] == 3
    imported = [e for e in import_drawings(folder, project) if isinstance(e, Imported)][0]
    assert (imported.added, imported.known) == (5, 3)
