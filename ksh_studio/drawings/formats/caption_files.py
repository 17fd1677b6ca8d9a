"""Captions that lie beside drawings: info.csv, metadata.jsonl, metadata.csv, and a text file for each picture."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from ksh_studio.config import MAX_PROMPT_CHARACTERS
from ksh_studio.drawings.formats.tables import Row, read_table, text_of
from ksh_studio.drawings.pixels import Unreadable
from ksh_studio.drawings.sources import SIDECARS, TABLES, Source, SourceFile, read_all, shown
from ksh_studio.events import Event, Warned
from ksh_studio.project.catalogue import By, tidy

MAX_TABLE_BYTES = 64_000_000
MAX_SIDECAR_BYTES = 1_000_000
SHOWN_NAMES = 3


@dataclass(frozen=True)
class CaptionInFile:
    """A caption and the file it comes from."""

    text: str
    by: By


class CaptionFiles:
    """The captions of one source, by the path of the picture.

    A picture's own text file counts first, then metadata.jsonl, metadata.csv and info.csv of its folder or above.
    """

    def __init__(self, source: Source) -> None:
        self.warnings: list[Event] = []
        """What is wrong with the caption files: the import goes on."""
        self._captions: dict[str, CaptionInFile] = {}
        pictures = _Names([item.path for item in source.pictures])
        tables = [item for item in source.files if item.name.lower() in TABLES]
        for item in sorted(tables, key=lambda item: "info.csv metadata.csv metadata.jsonl".index(item.name.lower())):
            self._take_table(item, pictures)
        sidecars = {item.path: item for item in source.files if item.suffix in SIDECARS}
        for path in pictures.paths:
            for suffix in (".caption", ".txt"):
                sidecar = sidecars.get(str(PurePosixPath(path).with_suffix(suffix)))
                if sidecar is not None:
                    self._take_sidecar(sidecar, path)

    def caption_of(self, path: str) -> CaptionInFile | None:
        """The caption of the picture at `path`, trigger and all; None where there is none."""
        return self._captions.get(path)

    def _take_table(self, item: SourceFile, pictures: "_Names") -> None:
        folder = PurePosixPath(item.path).parent
        try:
            known = pictures.below(folder)
            table = read_table(item.name.lower(), read_all(item, MAX_TABLE_BYTES), known)
        except (Unreadable, ValueError):
            self._warn("import.table_unreadable", item)
            return
        missing = [row.name for row in table.rows if not self._take_row(row, folder, pictures, item)]
        if table.repaired:
            self._warn("import.table_repaired", item, count=len(table.rows) - len(missing))
        if table.skipped:
            self._warn("import.table_lines", item, count=table.skipped)
        if missing:
            names = ", ".join(shown(name) for name in missing[:SHOWN_NAMES])
            self._warn("import.rows_without_drawing", item, count=len(missing), names=names)

    def _take_row(self, row: Row, folder: PurePosixPath, pictures: "_Names", item: SourceFile) -> bool:
        path = pictures.find(folder, shown(row.name))
        if path is not None:
            self._keep(path, row.caption, row.by or By("file", item.name), item)
        return path is not None

    def _take_sidecar(self, item: SourceFile, path: str) -> None:
        try:
            text = text_of(read_all(item, MAX_SIDECAR_BYTES))
        except (Unreadable, ValueError):
            self._warn("import.table_unreadable", item)
            return
        self._keep(path, text, By("file", item.name), item)

    def _keep(self, path: str, text: str, by: By, item: SourceFile) -> None:
        text = tidy(text)
        if len(text) > MAX_PROMPT_CHARACTERS:
            self._warn("import.caption_too_long", item, drawing=path, limit=MAX_PROMPT_CHARACTERS)
        elif text:
            self._captions[path] = CaptionInFile(text, by)

    def _warn(self, key: str, item: SourceFile, **values: object) -> None:
        self.warnings.append(Warned.saying(key, **({"name": item.path} | values)))


class _Names:
    """The pictures of a source, found by what a caption file calls them."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths
        self._exact = set(paths)
        self._folded: dict[str, str] = {}
        self._last: dict[str, list[str]] = {}
        for path in paths:
            self._folded.setdefault(path.casefold(), path)
            self._last.setdefault(PurePosixPath(path).name.casefold(), []).append(path)

    def find(self, folder: PurePosixPath, name: str) -> str | None:
        """The path of `name` as written in a table in `folder`; by its last part where only one has it."""
        path = str(folder / name)
        if path in self._exact:
            return path
        if path.casefold() in self._folded:
            return self._folded[path.casefold()]
        last = self._last.get(PurePosixPath(name).name.casefold(), [])
        return last[0] if len(last) == 1 else None

    def below(self, folder: PurePosixPath) -> set[str]:
        """Every name that a table in `folder` may use: paths from there, and last parts."""
        prefix = "" if str(folder) == "." else f"{folder}/"
        inner = {path.removeprefix(prefix) for path in self.paths if path.startswith(prefix)}
        return inner | {PurePosixPath(path).name for path in self.paths}
