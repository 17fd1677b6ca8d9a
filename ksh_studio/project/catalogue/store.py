"""Drawings and captions of one project: add, list, write, undo.

Every caption that was ever current stays as a numbered revision; a drawing points at its current one. So a page that
edits says which number it saw, and undo only moves the pointer. Each write is one commit: a killed process loses
nothing, and several processes may write (the page while a captioning job does).
"""

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

from ksh_studio.config import MAX_PROMPT_CHARACTERS
from ksh_studio.disk import replacing
from ksh_studio.errors import StudioError
from ksh_studio.project.catalogue.database import bare, open_database, storage_errors, tidy, transaction
from ksh_studio.project.catalogue.rows import By, CaptionConflict, Drawing, Filter, NewDrawing, Page, Revision, Seen
from ksh_studio.project.catalogue.values import is_sound
from ksh_studio.project.workspace import Project

log = logging.getLogger(__name__)
_FILTERS: dict[Filter, str] = {
    "all": "NOT excluded",
    "empty": "NOT excluded AND caption = ''",
    "captioned": "NOT excluded AND caption != ''",
    "auto": "NOT excluded AND caption != '' AND source = 'captioner'",
    "person": "NOT excluded AND caption != '' AND source = 'person'",
    "file": "NOT excluded AND caption != '' AND source = 'file'",
    "excluded": "excluded",
}
_REWRITTEN = {"empty": "''", "auto": "'', 'captioner'", "all": "'', 'captioner', 'person', 'file'"}
_PERSON = By()


class Catalogue:
    """A project's database, open inside `with Catalogue(project) as catalogue:`; cheap to open; one thread at a time.

    Every method raises StudioError when the disk is full, or the database is damaged or locked for long.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.wal = True
        """False where the disk cannot have SQLite's write-ahead log (network drives): slower, as safe."""
        self._database: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        self._database, self.wal = open_database(self.project.captions_db)
        return self

    def __exit__(self, *error: object) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    # What there is

    def drawing(self, drawing_id: str) -> Drawing:
        """The drawing of this id. Raises StudioError when there is none."""
        drawings = self._drawings("WHERE id = ?", drawing_id)
        if not drawings:
            raise StudioError("captions.unknown_drawing", name=drawing_id[:64])
        return drawings[0]

    def drawings(self) -> list[Drawing]:
        """All drawings that are not excluded, by name: what is trained on and exported."""
        return self._drawings("WHERE NOT excluded ORDER BY original_name, id")

    def page(self, offset: int = 0, limit: int = 60, search: str = "", which: Filter = "all") -> Page:
        """At most `limit` drawings from `offset` on whose caption or file name has every word of `search`.

        Capitals and small letters count as the same from A to Z only.
        """
        where = f"WHERE {_FILTERS.get(which, _FILTERS['all'])}"
        likes: list[str] = []
        for word in tidy(search[:200]).split():
            escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            where += " AND (caption LIKE ? ESCAPE '\\' OR original_name LIKE ? ESCAPE '\\')"
            likes += [f"%{escaped}%"] * 2
        total = self._query(f"SELECT count(*) FROM current {where}", *likes)[0][0]
        end = "ORDER BY original_name, id LIMIT ? OFFSET ?"
        return Page(total, self._drawings(f"{where} {end}", *likes, max(0, limit), max(0, offset)))

    def counts(self) -> dict[Filter, int]:
        """How many drawings pass each filter of `page`."""
        sums = ", ".join(f"coalesce(sum({condition}), 0) AS '{name}'" for name, condition in _FILTERS.items())
        row = self._query(f"SELECT {sums} FROM current")[0]
        return {name: row[name] for name in _FILTERS}

    def pending(self, overwrite: Literal["empty", "auto", "all"], by: By) -> list[Drawing]:
        """The drawings that the captioner `by` still has to do, by name; so a killed job goes on where it was.

        overwrite: "empty", those without a caption; "auto", also those a captioner wrote; "all", also those that a
        person wrote or a file brought. Captions by this captioner with these very settings are never made again.
        """
        return self._drawings(
            f"WHERE NOT excluded AND (caption = '' OR source IN ({_REWRITTEN[overwrite]}))"
            " AND NOT (caption != '' AND source = ? AND author = ? AND settings = ?) ORDER BY original_name, id",
            *(by.source, by.author, by.settings_json),
        )

    def history(self, drawing_id: str) -> list[Revision]:
        """Every caption the drawing ever had, newest first."""
        rows = self._query(
            "SELECT revision, caption, source, author, time FROM captions WHERE drawing = ? ORDER BY revision DESC",
            drawing_id,
        )
        return [Revision(**row) for row in rows]

    def known(self, file_sha256: str) -> Drawing | None:
        """The drawing imported from a file of this content, or with the same pixels as such a file; excluded or not."""
        where = "WHERE file_sha256 = ? OR id IN (SELECT drawing FROM seen WHERE file_sha256 = ?)"
        return next(iter(self._drawings(where, file_sha256, file_sha256)), None)

    def same_pixels(self, pixel_sha256: str) -> Drawing | None:
        """The drawing whose copy has these pixels, excluded or not."""
        return next(iter(self._drawings("WHERE pixel_sha256 = ?", pixel_sha256)), None)

    def seen(self, root: str) -> list[Seen]:
        """The files of an imported folder or zip as of its last import."""
        rows = self._query("SELECT path, file_sha256, drawing FROM seen WHERE root = ? ORDER BY path", root)
        return [Seen(**row) for row in rows]

    # What changes

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make all changes of the block one commit, or none of them; the page can write again when the block ends."""
        with self._writing():
            yield

    def add(self, drawing: NewDrawing) -> bool:
        """Add a drawing whose files are on disk; False when the project has one of this content or these pixels."""
        values = (drawing.id, drawing.original_name, drawing.source_path, drawing.width, drawing.height,
                  drawing.file_sha256, drawing.pixel_sha256, " ".join(drawing.flags), time.time())  # fmt: skip
        names = "id, original_name, source_path, width, height, file_sha256, pixel_sha256, flags, imported"
        with self._writing() as database:
            places = ", ".join("?" * len(values))
            done = database.execute(f"INSERT OR IGNORE INTO drawings ({names}) VALUES ({places})", values)
            return done.rowcount == 1

    def remember(self, root: str, files: list[Seen]) -> None:
        """Replace the list of files of an imported folder or zip."""
        with self._writing() as database:
            database.execute("DELETE FROM seen WHERE root = ?", (root,))
            rows = [(root, file.path, file.file_sha256, file.drawing) for file in files]
            database.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", rows)

    def exclude(self, drawing_id: str, excluded: bool = True) -> Drawing:
        """Leave a drawing out of lists, captioning, training and export, or take it back; its files stay."""
        with self._writing() as database:
            database.execute("UPDATE drawings SET excluded = ? WHERE id = ?", (excluded, drawing_id))
            return self.drawing(drawing_id)

    def save_caption(self, drawing_id: str, caption: str, by: By = _PERSON, expected: int | None = None) -> Drawing:
        """Make `caption`, without the trigger, the drawing's current one; committed when this returns.

        expected: the revision the writer saw; None: whatever it is. A person's save without a change keeps the source.
        Raises CaptionConflict when it is another by now, StudioError for a caption that is too long.
        """
        if len(caption) > MAX_PROMPT_CHARACTERS:
            raise StudioError("captions.too_long", length=len(caption), limit=MAX_PROMPT_CHARACTERS)
        text = bare(caption, self.project.settings().trigger)
        with self._writing() as database:
            before = self.drawing(drawing_id)
            if _unchanged(before, text, by):
                return before
            if expected is not None and before.revision != expected:
                raise CaptionConflict(before, text)
            newest = "SELECT coalesce(max(revision), 0) + 1 FROM captions WHERE drawing = ?"
            revision = database.execute(newest, (drawing_id,)).fetchone()[0]
            row = (drawing_id, revision, text, by.source, by.author, by.settings_json, time.time())
            database.execute("INSERT INTO captions VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            database.execute("UPDATE drawings SET revision = ? WHERE id = ?", (revision, drawing_id))
            if by.source == "person":
                database.execute("DELETE FROM edits WHERE undone")  # a new edit ends what could be redone
                edit = (drawing_id, before.revision, revision)
                database.execute("INSERT INTO edits (drawing, before, after) VALUES (?, ?, ?)", edit)
            return self.drawing(drawing_id)

    def undo(self) -> Drawing | None:
        """Take back the person's newest edit that still shows; None when there is none."""
        return self._move_in_edits("SELECT * FROM edits WHERE NOT undone ORDER BY number DESC", "after", "before")

    def redo(self) -> Drawing | None:
        """Do again what `undo` took back last; None when there is nothing."""
        return self._move_in_edits("SELECT * FROM edits WHERE undone ORDER BY number", "before", "after")

    def _move_in_edits(self, edits: str, shows: str, becomes: str) -> Drawing | None:
        with self._writing() as database:
            for edit in database.execute(edits).fetchall():
                if self.drawing(edit["drawing"]).revision != edit[shows]:
                    continue  # written over since, by a captioner: its edit is no longer what the page shows
                database.execute("UPDATE drawings SET revision = ? WHERE id = ?", (edit[becomes], edit["drawing"]))
                undone = becomes == "before"
                database.execute("UPDATE edits SET undone = ? WHERE number = ?", (undone, edit["number"]))
                return self.drawing(edit["drawing"])
        return None

    def copy_to(self, target: Path) -> None:
        """Write a consistent copy of the database, even while another process writes."""
        with replacing(target) as beside, storage_errors(target):
            copy = sqlite3.connect(beside)
            try:
                self._open.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
            finally:
                copy.close()

    @property
    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            raise RuntimeError("open it first: with Catalogue(project) as catalogue")
        return self._database

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        if self._open.in_transaction:  # inside `together`, which commits
            yield self._open
            return
        with storage_errors(self.project.captions_db), transaction(self._open) as database:
            yield database

    def _query(self, statement: str, *values: str | int) -> list[sqlite3.Row]:
        with storage_errors(self.project.captions_db):
            return self._open.execute(statement, values).fetchall()

    def _drawings(self, where: str, *values: str | int) -> list[Drawing]:
        rows = [dict(row) for row in self._query(f"SELECT * FROM current {where}", *values)]
        drawings = [_drawing(row) for row in rows if is_sound(row)]
        if len(drawings) < len(rows):
            log.warning("%s: %d drawings that no studio writes", self.project.captions_db, len(rows) - len(drawings))
        return drawings


def _drawing(row: dict[str, Any]) -> Drawing:
    return Drawing(**(row | {"flags": tuple(row["flags"].split()), "excluded": bool(row["excluded"])}))


def _unchanged(before: Drawing, text: str, by: By) -> bool:
    if before.caption != text:
        return False
    if by.source == "person" or not text:
        return True
    return (before.source, before.author, before.settings) == (by.source, by.author, by.settings_json)
