"""Reads and writes tables of captions: the original program's unquoted info.csv, proper CSV, and metadata.jsonl."""

import codecs
import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import get_args

from ksh_studio.drawings.sources import PICTURES, displayable_path
from ksh_studio.project.catalogue import By, Source

NAME_COLUMNS = ("file_name", "image", "filename", "file", "name", "path")
CAPTION_COLUMNS = ("text", "caption", "prompt", "description")


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    name: str
    caption: str
    by: By | None = None
    """Who wrote it, where the table says so."""


@dataclass
class Table:
    """The rows of a table, and whether it had faults."""

    rows: list[Row] = field(default_factory=list)
    repaired: bool = False
    """Whether it was no valid CSV, so that the names of the pictures were used to find the rows."""
    skipped: int = 0
    """How many lines have no name or no caption."""


def read_table(name: str, data: bytes, known: set[str]) -> Table:
    """The rows of info.csv, metadata.csv or metadata.jsonl.

    known: the names that a table may use for pictures, which tell where a row begins when the CSV is not valid.
    Raises ValueError when the encoding is none that `text_of` knows, or when no row of a CSV is about a picture.
    """
    text = text_of(data)
    return _read_json_lines(text) if name.endswith(".jsonl") else _read_comma_separated(text, known)


def text_of(data: bytes) -> str:
    """Decode UTF-8 (with or without a byte order mark), UTF-16 with one, or cp949, which Korean Windows uses.

    Raises UnicodeDecodeError for any other encoding.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp949")


def by_text(by: By) -> str:
    """Who wrote a caption, as the `source` column of metadata.jsonl has it."""
    return f"{by.source}: {by.author}" if by.author else by.source


def comma_separated(rows: Iterable[tuple[str, str]]) -> bytes:
    """The content of info.csv with these names and captions: quoted, with the byte order mark that Excel needs."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)  # writes CRLF at the end of a line
    writer.writerow(("image", "text"))
    writer.writerows(rows)
    return text.getvalue().encode("utf-8-sig")


def json_lines(rows: Iterable[dict[str, str]]) -> bytes:
    """The content of metadata.jsonl with these rows. In CSV the Hub's loader would not take "None" or "123" as text."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _by(text: object) -> By | None:
    source, _, author = str(text or "").partition(": ")
    return next((By(known, author[:200]) for known in get_args(Source) if known and known == source), None)


def _read_json_lines(text: str) -> Table:
    table = Table()
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            cells = json.loads(line)
        except (ValueError, RecursionError):
            cells = None
        name, caption = (_first(cells, NAME_COLUMNS), _first(cells, CAPTION_COLUMNS)) if cells else (None, None)
        if isinstance(name, str) and isinstance(caption, str):
            table.rows.append(Row(name, caption, _by(cells.get("source"))))
        else:
            table.skipped += 1
    return table


def _first(cells: object, columns: tuple[str, ...]) -> object:
    if not isinstance(cells, dict):
        return None
    value = next((cells[column] for column in columns if column in cells), None)
    return value[0] if isinstance(value, list) and value else value


def _read_comma_separated(text: str, known: set[str]) -> Table:
    """The rows of valid CSV; otherwise those of a table without quotes, as the original wrote it, by known names."""
    rows = _proper(text)
    if rows is not None:
        name_at, caption_at, body = _columns(rows, known)
        if all(_begins_a_row(row[name_at], known) for row in body):
            return Table([Row(row[name_at], row[caption_at]) for row in body])
    repaired_rows = list(_by_known_names(text, known))
    if not repaired_rows:
        raise ValueError("no row begins with the name of a picture")
    return Table(repaired_rows, repaired=True)


def _proper(text: str) -> list[list[str]] | None:
    """The rows when this is valid CSV and all have the same number of cells, at least two; otherwise None."""
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error:
        return None
    widths = {len(row) for row in rows}
    return rows if len(widths) == 1 and min(widths) >= 2 else None


def _columns(rows: list[list[str]], known: set[str]) -> tuple[int, int, list[list[str]]]:
    header = [cell.strip().lower() for cell in rows[0]]
    name = next((header.index(column) for column in NAME_COLUMNS if column in header), None)
    caption = next((header.index(column) for column in CAPTION_COLUMNS if column in header), None)
    if name is not None and caption is not None:
        return name, caption, rows[1:]
    return 0, 1, rows if _begins_a_row(rows[0][0], known) else rows[1:]


def _begins_a_row(name: str, known: set[str]) -> bool:
    return displayable_path(name) in known or PurePosixPath(name.strip()).suffix.lower() in PICTURES


def _by_known_names(text: str, known: set[str]) -> Iterator[Row]:
    """Begin a row at each line that starts with a picture's name and a comma; other lines continue the caption."""
    name, parts = "", []
    for line in text.splitlines():
        begins = _name_before_comma(line, known)
        if begins is None:
            parts.append(line)
            continue
        if name:
            yield Row(name, _unquoted(parts))
        name, parts = begins, [line[len(begins) + 1 :]]
    if name:
        yield Row(name, _unquoted(parts))


def _name_before_comma(line: str, known: set[str]) -> str | None:
    """The longest known name at the start of the line, else its first cell when that ends like a picture's name."""
    cuts = [at for at, letter in enumerate(line[:1000]) if letter == ","]
    for at in reversed(cuts):
        if displayable_path(line[:at]) in known:
            return line[:at]
    if cuts and _begins_a_row(line[: cuts[0]], known):
        return line[: cuts[0]]
    return None


def _unquoted(parts: list[str]) -> str:
    text = "\n".join(parts).strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"')
    return text
