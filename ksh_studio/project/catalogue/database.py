"""How captions.db is opened, laid out and written: schema, journal mode, transactions, and errors as sentences."""

import re
import sqlite3
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ksh_studio.config import Trigger
from ksh_studio.disk import disk_errors
from ksh_studio.errors import StudioError
from ksh_studio.project.catalogue.values import all_sound

FORMAT = 1
BUSY_SECONDS = 30.0
_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufeff\ud800-\udfff]")

# edits: what a person did, newest last, so that it can be undone; before and after are revisions.
# seen: what each imported folder or zip held, so that importing it again can say what is gone.
_SCHEMA = """
CREATE TABLE drawings (
    id TEXT PRIMARY KEY, original_name TEXT NOT NULL, source_path TEXT NOT NULL, width INTEGER NOT NULL,
    height INTEGER NOT NULL, file_sha256 TEXT NOT NULL UNIQUE, pixel_sha256 TEXT NOT NULL UNIQUE,
    flags TEXT NOT NULL, imported REAL NOT NULL, excluded INTEGER NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX drawings_by_name ON drawings (original_name, id);
CREATE TABLE captions (
    drawing TEXT NOT NULL REFERENCES drawings (id), revision INTEGER NOT NULL, caption TEXT NOT NULL,
    source TEXT NOT NULL, author TEXT NOT NULL, settings TEXT NOT NULL, time REAL NOT NULL,
    PRIMARY KEY (drawing, revision)
);
CREATE TABLE edits (
    number INTEGER PRIMARY KEY AUTOINCREMENT, drawing TEXT NOT NULL REFERENCES drawings (id),
    before INTEGER NOT NULL, after INTEGER NOT NULL, undone INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE seen (
    root TEXT NOT NULL, path TEXT NOT NULL, file_sha256 TEXT NOT NULL, drawing TEXT NOT NULL,
    PRIMARY KEY (root, path)
);
CREATE INDEX seen_by_content ON seen (file_sha256);
CREATE VIEW current AS
    SELECT d.id, d.original_name, d.source_path, d.width, d.height, d.file_sha256, d.pixel_sha256, d.flags, d.excluded,
        d.revision, coalesce(c.caption, '') AS caption, coalesce(c.source, '') AS source,
        coalesce(c.author, '') AS author, coalesce(c.settings, '{}') AS settings
    FROM drawings d LEFT JOIN captions c ON c.drawing = d.id AND c.revision = d.revision;
PRAGMA user_version = 1;
"""


def tidy(text: str) -> str:
    """The text in one line, composed (NFC), without control characters, byte order marks and broken surrogates."""
    return " ".join(_CONTROL.sub("", unicodedata.normalize("NFC", text)).split())


def bare(caption: str, trigger: Trigger) -> str:
    """The caption as it is stored: tidy, without the trigger, and without commas left over where that stood.

    So it is the same again after `trigger.apply`, an export and an import.
    """
    text, before = tidy(caption), None
    while text != before:
        before, text = text, trigger.strip(text).strip(" ,")
    return text


def open_database(path: Path) -> tuple[sqlite3.Connection, bool]:
    """A connection to the database, made when it is not there, and whether it has a write-ahead log.

    Raises StudioError when it is damaged, of a newer studio, locked for long, or the disk does not allow it.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with storage_errors(path):
        database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            wal = _journal_mode(database)
            database.row_factory = sqlite3.Row
            database.text_factory = partial(
                str, encoding="utf-8", errors="replace"
            )  # a damaged letter costs itself only
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA foreign_keys = ON")
            _lay_out(database, path)
        except BaseException:
            database.close()
            raise
    return database, wal


def check_foreign(path: Path) -> None:
    """Raise StudioError unless the database at `path`, from elsewhere, has exactly our tables and values as we write.

    A layout of its own could hold triggers that run when we write; the id of a drawing could name another file.
    """
    ours = sqlite3.connect(":memory:", isolation_level=None)
    theirs = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        with storage_errors(path):
            theirs.execute("PRAGMA trusted_schema = OFF")
            _lay_out(ours, path)
            layout = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
            if theirs.execute("PRAGMA user_version").fetchone()[0] > FORMAT:
                raise StudioError("captions.newer", path=path.name)
            same = theirs.execute(layout).fetchall() == ours.execute(layout).fetchall()
            if not same or theirs.execute("PRAGMA quick_check").fetchall() != [("ok",)] or not all_sound(theirs):
                raise StudioError("captions.damaged", path=path.name)
    except sqlite3.OperationalError as error:  # text that is no UTF-8
        raise StudioError("captions.damaged", path=path.name) from error
    finally:
        ours.close()
        theirs.close()


def _journal_mode(database: sqlite3.Connection) -> bool:
    """Switch to the write-ahead log; False where the disk cannot have one (network drives): then DELETE mode."""
    try:
        if database.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal":
            return True
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "read" in str(error):  # busy or read-only: not the journal's fault
            raise
    database.execute("PRAGMA journal_mode = DELETE")
    return False


def _lay_out(database: sqlite3.Connection, path: Path) -> None:
    """Make the tables where there are none. Raises StudioError for the database of a newer studio."""
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version > FORMAT:
        raise StudioError("captions.newer", path=path)
    if version == FORMAT:
        return
    with transaction(database):
        if database.execute("PRAGMA user_version").fetchone()[0] == 0:  # nobody else was first
            for statement in _SCHEMA.split(";\n"):
                database.execute(statement)


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """One commit, or nothing."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's error for a full disk, a forbidden or a damaged file into a StudioError that names `path`."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as error:
        key = _KEYS.get((getattr(error, "sqlite_errorcode", None) or 0) & 0xFF)
        if key is None:
            raise
        raise StudioError(key, path=path) from error


_KEYS = {
    sqlite3.SQLITE_FULL: "disk.full",
    sqlite3.SQLITE_READONLY: "disk.forbidden",
    sqlite3.SQLITE_CANTOPEN: "disk.forbidden",
    sqlite3.SQLITE_PERM: "disk.forbidden",
    sqlite3.SQLITE_IOERR: "disk.full",
    sqlite3.SQLITE_BUSY: "captions.busy",
    sqlite3.SQLITE_LOCKED: "captions.busy",
    sqlite3.SQLITE_CORRUPT: "captions.damaged",
    sqlite3.SQLITE_NOTADB: "captions.damaged",
}
