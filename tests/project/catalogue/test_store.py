import os
import signal
import sqlite3
import threading
import time

import pytest

from ksh_studio.config import Trigger
from ksh_studio.errors import StudioError
from ksh_studio.project.catalogue import By, CaptionConflict, Catalogue, NewDrawing, Seen, bare, database, tidy


def new(number, name=""):
    return NewDrawing(
        f"{number:016x}", name or f"그림 {number:02}.png", f"폴더/{number}.png", 48, 40, f"f{number}", f"p{number}",
        ("alpha", "turned"),
    )  # fmt: skip


@pytest.fixture
def catalogue(project):
    with Catalogue(project) as opened:
        for number in range(5):
            assert opened.add(new(number))
        yield opened


def test_a_drawing_comes_back_as_it_was_added(catalogue, project):
    row = catalogue.drawing(new(3).id)
    assert row == catalogue.drawings()[3]
    assert (row.original_name, row.source_path, row.flags, row.revision, row.caption) == (
        "그림 03.png", "폴더/3.png", ("alpha", "turned"), 0, "",
    )  # fmt: skip
    assert row.path(project) == project.drawings / "0000000000000003.webp"
    assert catalogue.known("f3") == catalogue.same_pixels("p3") == row
    assert catalogue.known("f9") is catalogue.same_pixels("p9") is None


def test_the_same_content_or_pixels_are_not_added_twice(catalogue):
    assert not catalogue.add(new(3))
    assert not catalogue.add(NewDrawing("aa", "b.png", "b.png", 1, 1, "other", "p3"))
    assert catalogue.counts()["all"] == 5


def test_captions_are_stored_without_the_trigger_in_one_line(catalogue):
    name = new(0).id
    for text in ("a girl drawn by KSH drawing style", "a\r\ngirl,  Drawn by KSH drawing style", "\ufeffa girl\x00 ,"):
        assert catalogue.save_caption(name, text).caption == "a girl"
    assert catalogue.save_caption(name, "drawn by KSH drawing style").caption == ""


def test_every_revision_stays_with_who_wrote_it(catalogue):
    name = new(0).id
    catalogue.save_caption(name, "one", By("captioner", "blip2-opt-2.7b", {"seed": 0}))
    catalogue.save_caption(name, "two")
    assert catalogue.save_caption(name, "three", By("file", "info.csv")).revision == 3
    history = catalogue.history(name)
    assert [(h.revision, h.caption, h.source, h.author) for h in history] == [
        (3, "three", "file", "info.csv"),
        (2, "two", "person", ""),
        (1, "one", "captioner", "blip2-opt-2.7b"),
    ]
    assert all(abs(h.time - time.time()) < 60 for h in history)


def test_saving_without_a_change_keeps_revision_and_source(catalogue):
    name = new(0).id
    catalogue.save_caption(name, "one", By("captioner", "x"))
    same = catalogue.save_caption(name, " one drawn by KSH drawing style", expected=99)
    assert (same.revision, same.source) == (1, "captioner")
    assert catalogue.undo() is None


def test_two_tabs_never_overwrite_each_other(catalogue, project):
    name = new(0).id
    seen = catalogue.save_caption(name, "first").revision
    with Catalogue(project) as other:
        other.save_caption(name, "theirs", expected=seen)
    with pytest.raises(CaptionConflict) as conflict:
        catalogue.save_caption(name, "mine", expected=seen)
    assert (conflict.value.drawing.caption, conflict.value.mine, conflict.value.sentence.key) == (
        "theirs", "mine", "captions.conflict",
    )  # fmt: skip
    assert catalogue.drawing(name).caption == "theirs"
    assert catalogue.save_caption(name, "mine", expected=conflict.value.drawing.revision).caption == "mine"


def test_edits_are_undone_and_redone_in_order(catalogue):
    first, second = new(0).id, new(1).id
    catalogue.save_caption(first, "auto", By("captioner", "x"))
    catalogue.save_caption(first, "one")
    catalogue.save_caption(second, "two")
    catalogue.save_caption(first, "three")
    assert [catalogue.undo().caption for _ in range(3)] == ["one", "", "auto"]
    assert catalogue.undo() is None
    assert [catalogue.redo().caption for _ in range(3)] == ["one", "two", "three"]
    assert catalogue.redo() is None
    assert catalogue.drawing(first).source == "person"
    catalogue.undo()
    catalogue.save_caption(second, "new branch")
    assert catalogue.redo() is None


def test_undo_never_takes_back_what_a_captioner_wrote_over_an_edit(catalogue):
    name, other = new(0).id, new(1).id
    catalogue.save_caption(other, "earlier")
    catalogue.save_caption(name, "mine")
    catalogue.save_caption(name, "auto", By("captioner", "x"))
    assert catalogue.undo().id == other
    assert catalogue.drawing(name).caption == "auto"


def test_a_revision_taken_back_keeps_its_number_for_ever(catalogue):
    name = new(0).id
    catalogue.save_caption(name, "one")
    catalogue.save_caption(name, "two")
    assert catalogue.undo().revision == 1
    assert catalogue.save_caption(name, "three", expected=1).revision == 3


def test_pages_search_captions_and_names_in_any_script(catalogue):
    catalogue.save_caption(new(0).id, "A girl with 100% BLUE_hair")
    catalogue.save_caption(new(1).id, "파란 머리")
    assert [row.id for row in catalogue.page(search="blue GIRL").rows] == [new(0).id]
    assert catalogue.page(search="100%").total == 1
    assert catalogue.page(search="e_h").total == 1
    assert catalogue.page(search="lue%ha").total == 0
    assert [row.id for row in catalogue.page(search="머리").rows] == [new(1).id]
    assert [row.id for row in catalogue.page(search="그림 03").rows] == [new(3).id]
    found = catalogue.page(offset=3, limit=60)
    assert (found.total, [row.id for row in found.rows]) == (5, [new(3).id, new(4).id])
    assert catalogue.page(limit=-1, offset=-7).rows == []
    assert catalogue.page(search="'; DROP TABLE drawings; --").total == 0


def test_filters_and_counts_agree(catalogue):
    for number, by in enumerate((By("person"), By("captioner", "x"), By("file", "info.csv"))):
        catalogue.save_caption(new(number).id, f"caption {number}", by)
    catalogue.exclude(new(4).id)
    counts = {"all": 4, "empty": 1, "captioned": 3, "auto": 1, "person": 1, "file": 1, "excluded": 1}
    assert catalogue.counts() == counts
    assert {which: catalogue.page(which=which).total for which in counts} == counts
    assert len(catalogue.drawings()) == 4
    catalogue.exclude(new(4).id, False)
    assert catalogue.counts()["all"] == 5


def test_pending_is_what_a_captioner_has_to_do(catalogue):
    ours = By("captioner", "x", {"seed": 0})
    catalogue.save_caption(new(0).id, "person")
    catalogue.save_caption(new(1).id, "ours", ours)
    catalogue.save_caption(new(2).id, "older", By("captioner", "x", {"seed": 1}))
    catalogue.save_caption(new(3).id, "file", By("file", "info.csv"))
    pending = {o: [int(row.id, 16) for row in catalogue.pending(o, ours)] for o in ("empty", "auto", "all")}
    assert pending == {"empty": [4], "auto": [2, 4], "all": [0, 2, 3, 4]}


def test_what_a_folder_held_is_remembered(catalogue):
    catalogue.remember("root", [Seen("a.png", "f1", new(1).id), Seen("b.png", "f77", new(2).id)])
    catalogue.remember("other", [Seen("a.png", "f1", new(1).id)])
    assert [seen.path for seen in catalogue.seen("root")] == ["a.png", "b.png"]
    assert catalogue.known("f77").id == new(2).id
    catalogue.remember("root", [])
    assert (catalogue.seen("root"), len(catalogue.seen("other"))) == ([], 1)


def test_unknown_drawings_and_long_captions_are_sentences(catalogue):
    for call, key in (
        (lambda: catalogue.drawing("nothing"), "captions.unknown_drawing"),
        (lambda: catalogue.save_caption("nothing", "x"), "captions.unknown_drawing"),
        (lambda: catalogue.exclude("nothing"), "captions.unknown_drawing"),
        (lambda: catalogue.save_caption(new(0).id, "x" * 20_001), "captions.too_long"),
    ):
        with pytest.raises(StudioError) as error:
            call()
        assert error.value.sentence.key == key


def test_hostile_text_is_kept_as_text(catalogue):
    for text in ("<script>alert(1)</script>", "$(touch x); rm -rf", "'\"; --", "=1+1", "한" * 500):
        assert catalogue.save_caption(new(0).id, text).caption == text
    assert catalogue.save_caption(new(0).id, "\ud800\x00a\u2028b\x1b[0m").caption == "a b[0m"


def test_what_is_stored_stays_itself_through_the_trigger():
    for position in ("end", "front"):
        trigger = Trigger(position=position)
        for text in ("a girl", ",a, b,", "drawn by KSH drawing style, x", "x drawn by KSH drawing style,", "1", ""):
            stored = bare(text, trigger)
            assert bare(trigger.apply(stored), trigger) == stored
    assert tidy(" e\u0301\n\tx ") == "é x"


def test_changes_made_together_are_one_commit_or_none(project):
    with Catalogue(project) as catalogue, Catalogue(project) as page:
        with catalogue.together():
            catalogue.add(new(0))
            catalogue.save_caption(new(0).id, "one", By("file", "a.txt"))
            assert page.drawings() == []
        assert [drawing.caption for drawing in page.drawings()] == ["one"]
        with pytest.raises(ZeroDivisionError), catalogue.together():
            catalogue.add(new(1))
            raise ZeroDivisionError
        assert len(page.drawings()) == 1


def test_page_and_job_write_at_the_same_time_and_nothing_is_lost(project):
    with Catalogue(project) as catalogue:
        for number in range(40):
            catalogue.add(new(number))
    failed = []

    def write(numbers, by):
        try:
            for number in numbers:
                with Catalogue(project) as own:
                    own.save_caption(new(number).id, f"{by.source} {number}", by)
        except Exception as error:  # noqa: BLE001 - handed to the test
            failed.append(error)

    halves = ((range(0, 40, 2), By("person")), (range(1, 40, 2), By("captioner", "x")))
    threads = [threading.Thread(target=write, args=half) for half in halves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with Catalogue(project) as catalogue:
        assert catalogue.counts() == {
            "all": 40, "empty": 0, "captioned": 40, "auto": 20, "person": 20, "file": 0, "excluded": 0,
        }  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork and no kill -9 here")
def test_a_writer_killed_within_a_commit_leaves_the_rest_whole(project):
    with Catalogue(project) as catalogue:
        catalogue.add(new(0))
        catalogue.save_caption(new(0).id, "before")
    child = os.fork()
    if child == 0:
        with Catalogue(project) as own, own._writing() as database:
            database.execute("UPDATE drawings SET revision = 99")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with Catalogue(project) as catalogue:
        assert catalogue.drawing(new(0).id).caption == "before"
        assert catalogue.save_caption(new(0).id, "after").revision == 2


def test_it_is_synced_and_journaled_so_that_a_commit_survives(project):
    with Catalogue(project) as catalogue:
        assert catalogue.wal
        assert catalogue._open.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
        assert catalogue._open.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_without_a_write_ahead_log_it_works_and_says_so(project, monkeypatch):
    class NoLog(sqlite3.Connection):
        def execute(self, statement, *values):
            return super().execute(statement.replace("journal_mode = WAL", "journal_mode"), *values)

    real = sqlite3.connect
    monkeypatch.setattr(database.sqlite3, "connect", lambda *a, **k: real(*a, **k, factory=NoLog))
    with Catalogue(project) as catalogue:
        assert not catalogue.wal
        assert catalogue._open.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
        catalogue.add(new(0))
        assert catalogue.save_caption(new(0).id, "x").caption == "x"
    assert {path.name for path in project.root.glob("captions.db*")} == {"captions.db"}


def test_a_damaged_a_newer_and_a_locked_file_are_sentences(project, monkeypatch):
    with Catalogue(project) as catalogue:
        catalogue.add(new(0))
        catalogue._open.execute("PRAGMA user_version = 2")
    with pytest.raises(StudioError) as newer, Catalogue(project):
        pass
    project.captions_db.write_bytes(b"x" * 5000)
    with pytest.raises(StudioError) as damaged, Catalogue(project):
        pass
    for path in project.root.glob("captions.db*"):
        path.unlink()
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    with Catalogue(project) as one, one._writing(), pytest.raises(StudioError) as busy, Catalogue(project) as two:
        two.add(new(1))
    assert [error.value.sentence.key for error in (newer, damaged, busy)] == [
        "captions.newer", "captions.damaged", "captions.busy",
    ]  # fmt: skip


def test_a_full_disk_is_a_sentence_and_loses_nothing(catalogue):
    catalogue.save_caption(new(0).id, "kept")
    pages = catalogue._open.execute("PRAGMA page_count").fetchone()[0]
    catalogue._open.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own way to a full disk
    with pytest.raises(StudioError) as error:
        for number in range(100):
            catalogue.save_caption(new(0).id, f"{number} " + "long " * 1000)
    assert error.value.sentence.key == "disk.full"
    assert catalogue.drawing(new(0).id).caption
    catalogue._open.execute("PRAGMA max_page_count = 1000000")
    assert catalogue.save_caption(new(1).id, "goes on").caption == "goes on"
