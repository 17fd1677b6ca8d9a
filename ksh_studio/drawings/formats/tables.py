"""Reads and writes tables of captions: the original program's unquoted info.csv, proper CSV, JSON, metadata.jsonl."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import get_args

from ksh_studio.drawings.file_kinds import PICTURES, ending_reason
from ksh_studio.drawings.sources import displayable_path
from ksh_studio.project.catalogue import By, Source

NAME_COLUMNS = (
    *("file_name", "image", "filename", "file", "name", "path", "image_path", "image_file", "file_path", "filepath"),
    *("img", "image_name", "파일", "파일명", "파일 이름", "이미지", "그림"),
)
CAPTION_COLUMNS = ("text", "caption", "prompt", "description", "캡션", "설명", "텍스트")
TAG_COLUMNS = ("tags", "tag_string", "tag", "태그")
SEPARATORS = (",", ";", "\t", "|")
MOST_COLUMNS = 200
MOST_SEPARATORS = 20
"""In the name of a picture that a table without quotes is searched for."""
MOST_LINES = 1_000_000


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


def read_table(name: str, text: str, known: set[str]) -> Table:
    """The rows of a table of captions: JSON lines, one JSON value, or cells separated by commas, semicolons or tabs.

    known: the names that a table may use for pictures, which tell where a row begins when the CSV is not valid.
    Raises ValueError when no row is about a picture, or when there are more than MOST_LINES lines.
    """
    if text.count("\n") > MOST_LINES:
        raise ValueError(f"more than {MOST_LINES} lines")
    if name.endswith((".jsonl", ".ndjson")):
        return _read_json_lines(text)
    return read_json(text) if name.endswith(".json") else _read_separated(text, known)


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
        if line.strip():
            _take_cells(table, _json(line))
    return table


def _json(text: str) -> object:
    """The value, or None when it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _take_cells(table: Table, cells: object) -> None:
    name, caption = _first(cells, NAME_COLUMNS), caption_in(cells)
    if isinstance(name, str) and caption is not None:
        table.rows.append(Row(name, caption, _by(cells.get("source") if isinstance(cells, dict) else None)))
    else:
        table.skipped += 1


def read_json(text: str) -> Table:
    """The rows of a JSON file: a list of objects, or an object of captions by the names of the pictures, as kohya's.

    Raises ValueError when there are no rows.
    """
    value, table = _json(text), Table()
    if isinstance(value, dict):
        lists = [inner for inner in value.values() if isinstance(inner, list)]
        if len(lists) == 1 and all(isinstance(each, dict) for each in lists[0]):
            value = lists[0]  # {"images": [...]}
    if isinstance(value, list):
        for each in value:
            _take_cells(table, each)
    elif isinstance(value, dict):
        captions = {name: each if isinstance(each, str) else caption_in(each) for name, each in value.items()}
        table.rows = [Row(name, caption) for name, caption in captions.items() if caption is not None]
        table.skipped = len(captions) - len(table.rows)
    if not table.rows:
        raise ValueError("no row is about a picture")
    return table


def caption_in_json(text: str) -> str:
    """The caption in the JSON file of one picture: a text, or an object that has one. Raises ValueError without one."""
    value = _json(text)
    caption = value if isinstance(value, str) else caption_in(value)
    if caption is None:
        raise ValueError("no caption")
    return caption


def caption_in(cells: object) -> str | None:
    """The caption among named values: a text, else the tags, joined by commas."""
    caption = _first(cells, CAPTION_COLUMNS)
    if isinstance(caption, str):
        return caption
    tags = next((cells[name] for name in TAG_COLUMNS if name in cells), None) if isinstance(cells, dict) else None
    if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
        return ", ".join(tags)
    return tags if isinstance(tags, str) else None


def _first(cells: object, columns: tuple[str, ...]) -> object:
    if not isinstance(cells, dict):
        return None
    value = next((cells[column] for column in columns if column in cells), None)
    return value[0] if isinstance(value, list) and value else value


def _read_separated(text: str, known: set[str]) -> Table:
    """The rows of valid CSV; otherwise those of a table without quotes, as the original wrote it, by known names."""
    first_line, _, rest = text.partition("\n")
    if first_line.strip().lower() in ("sep=,", "sep=;", "sep=\t", "sep="):  # for Excel
        text = rest
    for separator in SEPARATORS:
        rows = _proper(text, separator)
        if rows is not None:
            name_at, caption_at, body = _columns(rows, known)
            names = known if body is rows else known | {PurePosixPath(name).stem for name in known}
            if body and all(_begins_a_row(row[name_at], names) for row in body):
                return Table([Row(row[name_at], row[caption_at]) for row in body])
    for separator in SEPARATORS:
        repaired_rows = list(_by_known_names(text, separator, known))
        if repaired_rows:
            return Table(repaired_rows, repaired=True)
    raise ValueError("no row begins with the name of a picture")


def _proper(text: str, separator: str) -> list[list[str]] | None:
    """The rows when this is valid CSV and all have the same number of cells, from 2 to MOST_COLUMNS; otherwise None."""
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator):
            if not row:
                continue
            if not 2 <= len(row) <= MOST_COLUMNS or len(row) != len(rows[0] if rows else row):
                return None
            rows.append(row)
    except csv.Error:
        return None
    return rows or None


def _columns(rows: list[list[str]], known: set[str]) -> tuple[int, int, list[list[str]]]:
    header = [cell.strip().lower() for cell in rows[0]]
    name = next((header.index(column) for column in NAME_COLUMNS if column in header), None)
    caption = next((header.index(column) for column in CAPTION_COLUMNS + TAG_COLUMNS if column in header), None)
    if name is not None and caption is not None:
        return name, caption, rows[1:]
    return 0, 1, rows if _begins_a_row(rows[0][0], known) else rows[1:]


def _begins_a_row(name: str, known: set[str]) -> bool:
    if displayable_path(name) in known or PurePosixPath(name.strip()).suffix.lower() in PICTURES:
        return True
    return ending_reason(name.strip()) is not None  # a drawing in a format that is not read


def _by_known_names(text: str, separator: str, known: set[str]) -> Iterator[Row]:
    """Begin a row at each line that starts with a picture's name and a separator; other lines continue the caption."""
    name, parts = "", []
    inside = min(MOST_SEPARATORS, max((name.count(separator) for name in known), default=0))
    for line in text.splitlines():
        begins = _name_before(line, separator, known, inside)
        if begins is None:
            parts.append(line)
            continue
        if name:
            yield Row(name, _unquoted(parts))
        name, parts = begins, [line[len(begins) + 1 :]]
    if name:
        yield Row(name, _unquoted(parts))


def _name_before(line: str, separator: str, known: set[str], inside: int) -> str | None:
    """The longest known name at the start of the line, else its first cell when that ends like a picture's name.

    inside: the most separators that a known name has in it; the line is not looked at behind the next one.
    """
    cuts = _places(line[:1000], separator, inside + 1)
    if not cuts:
        return None
    shown = displayable_path(line[: cuts[-1]])  # once; a separator that names have in them stays in it as it is
    for cut, end in reversed(list(zip(cuts, [*_places(shown, separator, inside), len(shown)], strict=False))):
        if shown[:end] in known:
            return line[:cut]
    return line[: cuts[0]] if _begins_a_row(line[: cuts[0]], known) else None


def _places(text: str, separator: str, most: int) -> list[int]:
    """Where the first `most` separators of the text are."""
    places: list[int] = []
    at = text.find(separator)
    while at >= 0 and len(places) < most:
        places.append(at)
        at = text.find(separator, at + 1)
    return places


def _unquoted(parts: list[str]) -> str:
    text = "\n".join(parts).strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"')
    return text
