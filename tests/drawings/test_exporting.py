import csv
import errno
import io
import json
import re
import shutil
import zipfile

import pytest
from PIL import Image

from ksh_studio.config import ProjectSettings
from ksh_studio.drawings.exporting import EXPORT_FORMATS, export
from ksh_studio.errors import StudioError
from ksh_studio.events import Warned
from ksh_studio.project.catalogue import By, Catalogue, tidy
from tests.drawings.pictures import run_import, save_pictures

CAPTIONS = {
    "쉼표, 그림.png": 'a girl, "smiling", with\r\nlong hair',
    "train test.png": "None",
    "2024 train.png": "123",
    "수식.png": "=1+1",
    "한글.png": "파란 머리의 소녀, 웃는 얼굴",
    "따옴표.png": '"',
    "빈 것.png": "",
    "[test].png": "{not} json \\ 'at' all, null",
}
TRIGGER = "drawn by KSH drawing style"


@pytest.fixture
def captioned(project, folder):
    """A project with drawings of awkward names and captions."""
    save_pictures(folder, *CAPTIONS)
    run_import(folder, project)
    with Catalogue(project) as catalogue:
        for row in catalogue.drawings():
            catalogue.save_caption(row.id, CAPTIONS[row.original_name])
    return project


def captions_by_pixels(project):
    with Catalogue(project) as catalogue:
        return {row.pixel_sha256: row.caption for row in catalogue.drawings()}


@pytest.mark.parametrize(("zipped", "names"), [(False, "original"), (True, "original"), (True, "id")])
@pytest.mark.parametrize("export_format", EXPORT_FORMATS)
def test_every_format_comes_in_again_with_the_same_captions(
    captioned, workspace, tmp_path, export_format, zipped, names
):
    target = tmp_path / ("내보냄.zip" if zipped else "내보냄")
    exported = list(export(captioned, target, export_format, names=names))
    assert (exported[-1].kind, exported[-1].values["count"]) == ("finished", "8")
    again = workspace.create_project(ProjectSettings(name="again"))
    imported, _ = run_import(target, again)
    assert (imported.added, imported.captions, imported.unreadable) == (8, 7, ())
    assert captions_by_pixels(again) == captions_by_pixels(captioned)


def test_the_image_folder_loads_with_every_image_and_caption(captioned, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    list(export(captioned, tmp_path / "train test", "imagefolder"))
    loaded = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "train test"), cache_dir=str(tmp_path / "c"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 8}
    imported = {row["original_name"]: (row["text"], row["image"].size) for row in loaded["train"]}
    assert imported == {name: (f"{tidy(text)} {TRIGGER}".strip(), (48, 40)) for name, text in CAPTIONS.items()}


def test_the_table_is_the_originals_with_quotes(captioned, tmp_path):
    list(export(captioned, tmp_path / "out", "info.csv"))
    data = (tmp_path / "out" / "info.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbfimage,text\r\n")
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert sorted(row["text"] for row in rows) == sorted(f"{tidy(t)} {TRIGGER}".strip() for t in CAPTIONS.values())
    for row in rows:
        with Image.open(tmp_path / "out" / row["image"]) as image:
            assert image.size == (48, 40)


def test_formulas_are_written_unchanged_and_named(captioned, tmp_path):
    warned = [event for event in export(captioned, tmp_path / "out", "info.csv") if isinstance(event, Warned)]
    assert [(event.key, event.values) for event in warned] == [("export.formula", {"count": "1", "names": "수식.png"})]
    assert f"=1+1 {TRIGGER}" in (tmp_path / "out" / "info.csv").read_text(encoding="utf-8-sig")


def test_kohya_gets_one_line_for_each_picture(captioned, tmp_path):
    list(export(captioned, tmp_path / "out", "kohya"))
    folder = tmp_path / "out" / "10_ksh"
    assert sorted(path.stem for path in folder.glob("*.webp")) == sorted(path.stem for path in folder.glob("*.txt"))
    for path in folder.glob("*.txt"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) == 1
        assert text.endswith(TRIGGER)


def test_the_metadata_says_who_wrote_it(captioned, workspace, tmp_path):
    with Catalogue(captioned) as catalogue:
        first = catalogue.drawings()[0]
        catalogue.save_caption(first.id, "a girl", By("captioner", "blip2-opt-2.7b"))
    list(export(captioned, tmp_path / "out", "imagefolder"))
    rows = map(json.loads, (tmp_path / "out" / "train" / "metadata.jsonl").read_text(encoding="utf-8").splitlines())
    assert {row["source"] for row in rows} == {"person", "captioner: blip2-opt-2.7b", ""}
    again = workspace.create_project(ProjectSettings(name="again"))
    run_import(tmp_path / "out", again)
    with Catalogue(again) as catalogue:
        assert catalogue.counts() == {
            "all": 8, "empty": 1, "captioned": 7, "auto": 1, "person": 6, "file": 0, "excluded": 0,
        }  # fmt: skip


def test_excluded_drawings_stay_at_home(captioned, tmp_path):
    with Catalogue(captioned) as catalogue:
        catalogue.exclude(catalogue.drawings()[0].id)
    list(export(captioned, tmp_path / "out.zip", "txt"))
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert len(archive.namelist()) == 14


@pytest.mark.parametrize("names", ["original", "id"])
def test_files_are_called_as_the_artists_own_or_by_their_ids(captioned, tmp_path, names):
    list(export(captioned, tmp_path / "out", "txt", names=names))
    stems = {path.stem for path in (tmp_path / "out").glob("*.webp")}
    if names == "id":
        assert all(re.fullmatch("[0-9a-f]{16}", stem) for stem in stems)
    else:
        assert stems == {name.removesuffix(".png") for name in CAPTIONS}
    assert {path.stem for path in (tmp_path / "out").glob("*.txt")} == stems


def test_a_lost_picture_is_named_and_the_rest_goes_out(captioned, tmp_path):
    with Catalogue(captioned) as catalogue:
        catalogue.drawings()[0].path(captioned).unlink()
    exported = list(export(captioned, tmp_path / "out", "imagefolder"))
    assert (exported[0].key, exported[0].values["count"], exported[-1].values["count"]) == ("export.lost", "1", "7")


def test_what_is_in_the_way_is_never_overwritten(captioned, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")
    (tmp_path / "out.zip").write_text("x")
    for target in (tmp_path / "out", tmp_path / "out.zip"):
        with pytest.raises(StudioError) as error:
            list(export(captioned, target, "txt"))
        assert error.value.sentence.key == "export.in_the_way"
    (tmp_path / "empty").mkdir()
    assert list(export(captioned, tmp_path / "empty", "txt"))[-1].kind == "finished"


def test_nothing_to_export_and_unknown_formats_are_sentences(project, tmp_path):
    for export_format, key in (("txt", "export.nothing"), ("parquet", "export.unknown_format")):
        with pytest.raises(StudioError) as error:
            list(export(project, tmp_path / "out", export_format))
        assert error.value.sentence.key == key


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_a_full_disk_leaves_no_half_export(captioned, tmp_path, monkeypatch, name):
    def full(*_: object, **__: object):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    monkeypatch.setattr(zipfile.ZipFile, "write", full)
    with pytest.raises(StudioError) as error:
        list(export(captioned, tmp_path / name, "txt"))
    assert error.value.sentence.key == "disk.full"
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


def test_an_export_that_is_broken_off_leaves_nothing(captioned, tmp_path):
    events = export(captioned, tmp_path / "out", "txt")
    next(events)
    assert not (tmp_path / "out").exists()
    events.close()
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []
