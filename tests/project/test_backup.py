import errno
import json
import sqlite3
import threading
import zipfile

import pytest

from ksh_studio.config import ProjectSettings
from ksh_studio.disk import write_bytes, write_text
from ksh_studio.errors import StudioError
from ksh_studio.project.backup import LABEL, back_up, restore
from ksh_studio.project.catalogue import By, Catalogue, NewDrawing


def add_drawing(project, number, caption=""):
    drawing = NewDrawing(f"{number:016x}", f"그림 {number}.png", f"{number}.png", 48, 40, str(number), str(number))
    write_bytes(drawing.path(project), b"RIFF%d" % number)
    write_bytes(drawing.thumb(project), b"small%d" % number)
    with Catalogue(project) as catalogue:
        catalogue.add(drawing)
        if caption:
            catalogue.save_caption(drawing.id, caption)
    return drawing


@pytest.fixture
def full(project):
    """A project with everything a project can have."""
    for number in range(3):
        add_drawing(project, number, f"캡션 {number}")
    job = project.jobs / "20261123-101500-train"
    for name in ("job.json", "events.jsonl", "log.txt", "lock", "process.json", "control/stop", ".job.json.ab.tmp",
                 "previews/000500-0.png", "loras/내것.txt", "loras/mine-000500.safetensors",
                 "checkpoints/step-000500/tensors.safetensors"):  # fmt: skip
        write_bytes(job / name, name.encode())
    write_bytes(project.pictures / "2026-11-23" / "1-42.png", b"picture")
    return project


def files(project):
    return {p.relative_to(project.root).as_posix(): p.read_bytes() for p in project.root.rglob("*") if p.is_file()}


def test_a_project_comes_back_whole_beside_the_first(full, workspace, tmp_path):
    told = []
    back_up(full, tmp_path / "백업.zip", on_file=lambda done, total: told.append((done, total)))
    again = restore(tmp_path / "백업.zip", workspace)
    assert again.slug != full.slug
    assert again.settings() == full.settings()
    with Catalogue(full) as first, Catalogue(again) as second:
        assert second.drawings() == first.drawings()
        assert [row.caption for row in second.drawings()] == ["캡션 0", "캡션 1", "캡션 2"]
        assert second.undo().caption == ""  # the history came along
    kept, before = files(again), files(full)
    left_out = {name.split("/", 2)[2] for name in set(before) - set(kept) if name.startswith("jobs/")}
    assert left_out == {
        "lock", "process.json", "control/stop", ".job.json.ab.tmp", "loras/내것.txt",
        "checkpoints/step-000500/tensors.safetensors",
    }  # fmt: skip
    assert {name: data for name, data in kept.items() if "captions.db" not in name} == {
        name: before[name] for name in kept if "captions.db" not in name
    }
    assert told[0][0] == 1 and told[-1] == (len(told), len(told))


def test_checkpoints_come_along_when_asked(full, workspace, tmp_path):
    back_up(full, tmp_path / "all.zip", checkpoints=True)
    again = restore(tmp_path / "all.zip", workspace)
    assert (again.jobs / "20261123-101500-train/checkpoints/step-000500/tensors.safetensors").is_file()


def test_big_files_are_stored_as_they_are(full, tmp_path):
    back_up(full, tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        how = {entry.filename.rpartition(".")[2]: entry.compress_type for entry in archive.infolist()}
    assert how["webp"] == how["png"] == how["safetensors"] == zipfile.ZIP_STORED
    assert how["db"] == how["jsonl"] == zipfile.ZIP_DEFLATED


def test_an_empty_project_is_backed_up_too(project, workspace, tmp_path):
    again = restore(back_up(project, tmp_path / "b.zip"), workspace)
    assert files(again).keys() == {"project.json"}


def test_restoring_twice_makes_two_projects(full, workspace, tmp_path):
    back_up(full, tmp_path / "b.zip")
    slugs = {restore(tmp_path / "b.zip", workspace).slug for _ in range(2)}
    assert len(slugs | {full.slug}) == 3
    named = workspace.create_project(ProjectSettings(name="My Style"))
    assert restore(back_up(named, tmp_path / "c.zip"), workspace).slug == "my-style-2"


def test_the_captions_are_of_one_moment_while_a_job_writes(full, workspace, tmp_path):
    done = threading.Event()

    def captioning():
        number = 0
        while not done.is_set():
            with Catalogue(full) as catalogue:
                for row in catalogue.drawings():
                    catalogue.save_caption(row.id, f"round {number}", By("captioner", "x", {"n": number}))
            number += 1

    writer = threading.Thread(target=captioning)
    writer.start()
    try:
        for number in range(3):
            again = restore(back_up(full, tmp_path / f"{number}.zip"), workspace)
            with Catalogue(again) as catalogue:
                assert len(catalogue.drawings()) == 3
            with sqlite3.connect(again.captions_db) as database:
                assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            database.close()
    finally:
        done.set()
        writer.join()


def rewritten(source, target, change):
    """A copy of a zip with its entries, name → bytes, changed."""
    with zipfile.ZipFile(source) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    change(entries)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return target


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda e: e.pop(LABEL), "backup.not_ours"),
        (lambda e: e.pop("project.json"), "backup.not_ours"),
        (lambda e: e.update({LABEL: b"[" * 100_000}), "backup.not_ours"),
        (lambda e: e.update({LABEL: b'{"format": 1e999}'}), "backup.not_ours"),
        (lambda e: e.update({LABEL: b'{"format": NaN}'}), "backup.not_ours"),
        (lambda e: e.update({LABEL: b'{"format": "\\ud800"}'}), "backup.not_ours"),
        (lambda e: e.update({LABEL: b'{"format": ' + b"9" * 5000 + b"}"}), "backup.not_ours"),
        (lambda e: e.update({LABEL: json.dumps({"format": 2}).encode()}), "backup.newer"),
        (lambda e: e.update({"../../evil.json": b"x"}), "backup.unsafe"),
        (lambda e: e.update({"/etc/evil.json": b"x"}), "backup.unsafe"),
        (lambda e: e.update({"C:/evil.json": b"x"}), "backup.unsafe"),
        (lambda e: e.update({"jobs/a/../../evil.json": b"x"}), "backup.unsafe"),
        (lambda e: e.update({"drawings\\..\\evil.webp": b"x"}), "backup.unsafe"),
        (lambda e: e.update({"jobs/a/model.ckpt": b"x"}), "backup.unsafe"),
        (lambda e: e.update({"pictures/.htaccess": b"x"}), "backup.unsafe"),
        (lambda e: e.update({"Project.json": b"x"}), "backup.unsafe"),
        (lambda e: e.update({"jobs/con/job.json": b"x"}), "backup.unsafe"),
        (lambda e: e.update({"pictures/2026-11-23/AUX.png": b"x"}), "backup.unsafe"),
        (lambda e: e.update({"jobs/a./job.json": b"x"}), "backup.unsafe"),
        (lambda e: e.update({"jobs/a/job.json": b" " * 5_000_000}), "backup.too_much"),
        (lambda e: e.update({"project.json": b'{"name": "x"' + b" " * 5_000_000 + b"}"}), "backup.too_much"),
        (
            lambda e: e.update({"project.json": b'{"name": "x", "preview_prompts": [' + b'"a",' * 2000 + b'"a"]}'}),
            "backup.damaged",
        ),
        (lambda e: e.update({"jobs/a/events.jsonl": bytes(60_000_000)}), "backup.too_much"),
        (lambda e: e.update({"project.json": b"{}"}), "backup.damaged"),
        (lambda e: e.update({"captions.db": b"no database at all"}), "captions.damaged"),
    ],
)
def test_what_is_no_backup_of_ours_is_one_sentence_and_changes_nothing(full, workspace, tmp_path, change, key):
    bad = rewritten(back_up(full, tmp_path / "b.zip"), tmp_path / "나쁜.zip", change)
    before = sorted(path.name for path in workspace.projects_folder.iterdir())
    with pytest.raises(StudioError) as error:
        restore(bad, workspace)
    assert error.value.sentence.key == key
    assert sorted(path.name for path in workspace.projects_folder.iterdir()) == before
    assert not list(tmp_path.rglob("evil*"))


def test_captions_with_a_layout_of_their_own_are_refused(full, workspace, tmp_path):
    with Catalogue(full) as catalogue:
        catalogue.copy_to(tmp_path / "own.db")
    database = sqlite3.connect(tmp_path / "own.db")
    database.execute("CREATE TRIGGER evil AFTER INSERT ON captions BEGIN DELETE FROM captions; END")
    database.commit()
    database.close()
    data = (tmp_path / "own.db").read_bytes()
    bad = rewritten(back_up(full, tmp_path / "b.zip"), tmp_path / "c.zip", lambda e: e.update({"captions.db": data}))
    with pytest.raises(StudioError) as error:
        restore(bad, workspace)
    assert error.value.sentence.key == "captions.damaged"


def test_a_file_that_is_no_zip_and_a_damaged_zip_are_sentences(full, workspace, tmp_path):
    write_text(tmp_path / "글.zip", "not a zip")
    data = bytearray(back_up(full, tmp_path / "b.zip").read_bytes())
    at = data.index(b"RIFF1")
    data[at] ^= 1
    write_bytes(tmp_path / "damaged.zip", bytes(data))
    for name, key in (
        ("글.zip", "backup.not_a_zip"),
        ("none.zip", "backup.not_a_zip"),
        ("damaged.zip", "backup.damaged"),
    ):
        with pytest.raises(StudioError) as error:
            restore(tmp_path / name, workspace)
        assert error.value.sentence.key == key
    assert len(workspace.projects()) == 1


def test_a_full_disk_leaves_the_earlier_backup_as_it_was(full, workspace, tmp_path, monkeypatch):
    back_up(full, tmp_path / "b.zip")
    before = (tmp_path / "b.zip").read_bytes()

    def write(*_: object, **__: object):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "write", write)
    with pytest.raises(StudioError) as error:
        back_up(full, tmp_path / "b.zip")
    assert error.value.sentence.key == "disk.full"
    assert (tmp_path / "b.zip").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir() if "zip" in path.name) == ["b.zip"]


def test_a_full_disk_while_restoring_leaves_no_half_project(full, workspace, tmp_path, monkeypatch):
    back_up(full, tmp_path / "b.zip")

    def sync(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ksh_studio.project.backup.sync", sync)
    with pytest.raises(StudioError) as error:
        restore(tmp_path / "b.zip", workspace)
    assert error.value.sentence.key == "disk.full"
    assert [path.name for path in workspace.projects_folder.iterdir()] == [full.slug]
    assert not list(workspace.root.glob(".restoring*"))
