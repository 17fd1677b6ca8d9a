"""Captions that lie beside drawings: info.csv, metadata.jsonl, metadata.csv, and a text file for each picture."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from ksh_studio.config import MAX_PROMPT_CHARACTERS
from ksh_studio.drawings.formats.tables import Row, read_table, text_of
from ksh_studio.drawings.pixels import Unreadable
from ksh_studio.drawings.sources import SIDECARS, TABLES, Source, SourceFile, displayable_path, read_all
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

    When several files have a caption for a picture, its own text file is used, else metadata.jsonl, else metadata.csv,
    else info.csv. A table may lie in the picture's folder or in one above it.
    """

    def __init__(self, source: Source) -> None:
        self.warnings: list[Event] = []
        """What is wrong with the caption files; the import goes on all the same."""
        self._captions: dict[str, CaptionInFile] = {}
        pictures = _Names([file.path for file in source.pictures])
        tables = [file for file in source.files if file.name.lower() in TABLES]
        for file in sorted(tables, key=lambda file: "info.csv metadata.csv metadata.jsonl".index(file.name.lower())):
            self._take_table(file, pictures)
        sidecars = {file.path: file for file in source.files if file.suffix in SIDECARS}
        for path in pictures.paths:
            for suffix in (".caption", ".txt"):
                sidecar = sidecars.get(str(PurePosixPath(path).with_suffix(suffix)))
                if sidecar is not None:
                    self._take_sidecar(sidecar, path)

    def caption_of(self, path: str) -> CaptionInFile | None:
        """The caption of the picture at `path` as written, the trigger included; None when it has none."""
        return self._captions.get(path)

    def _take_table(self, file: SourceFile, pictures: "_Names") -> None:
        folder = PurePosixPath(file.path).parent
        try:
            known = pictures.below(folder)
            table = read_table(file.name.lower(), read_all(file, MAX_TABLE_BYTES), known)
        except (Unreadable, ValueError):
            self._warn("import.table_unreadable", file)
            return
        missing = [row.name for row in table.rows if not self._take_row(row, folder, pictures, file)]
        if table.repaired:
            self._warn("import.table_repaired", file, count=len(table.rows) - len(missing))
        if table.skipped:
            self._warn("import.table_lines", file, count=table.skipped)
        if missing:
            names = ", ".join(displayable_path(name) for name in missing[:SHOWN_NAMES])
            self._warn("import.rows_without_drawing", file, count=len(missing), names=names)

    def _take_row(self, row: Row, folder: PurePosixPath, pictures: "_Names", file: SourceFile) -> bool:
        path = pictures.find(folder, displayable_path(row.name))
        if path is not None:
            self._keep(path, row.caption, row.by or By("file", file.name), file)
        return path is not None

    def _take_sidecar(self, file: SourceFile, path: str) -> None:
        try:
            text = text_of(read_all(file, MAX_SIDECAR_BYTES))
        except (Unreadable, ValueError):
            self._warn("import.table_unreadable", file)
            return
        self._keep(path, text, By("file", file.name), file)

    def _keep(self, path: str, text: str, by: By, file: SourceFile) -> None:
        text = tidy(text)
        if len(text) > MAX_PROMPT_CHARACTERS:
            self._warn("import.caption_too_long", file, drawing=path, limit=MAX_PROMPT_CHARACTERS)
        elif text:
            self._captions[path] = CaptionInFile(text, by)

    def _warn(self, key: str, file: SourceFile, **values: object) -> None:
        self.warnings.append(Warned.saying(key, **({"name": file.path} | values)))


class _Names:
    """Finds the pictures of a source by the names that caption files use."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths
        self._exact = set(paths)
        self._folded: dict[str, str] = {}
        self._last: dict[str, list[str]] = {}
        for path in paths:
            self._folded.setdefault(path.casefold(), path)
            self._last.setdefault(PurePosixPath(path).name.casefold(), []).append(path)

    def find(self, folder: PurePosixPath, name: str) -> str | None:
        """The path of the picture that a table in `folder` calls `name`; None when there is none.

        A name that is no path from there counts as the file's name alone, when only one picture has that name.
        """
        path = str(folder / name)
        if path in self._exact:
            return path
        if path.casefold() in self._folded:
            return self._folded[path.casefold()]
        last = self._last.get(PurePosixPath(name).name.casefold(), [])
        return last[0] if len(last) == 1 else None

    def below(self, folder: PurePosixPath) -> set[str]:
        """Every name that a table in `folder` may use: paths from that folder, and names of files."""
        prefix = "" if str(folder) == "." else f"{folder}/"
        inner = {path.removeprefix(prefix) for path in self.paths if path.startswith(prefix)}
        return inner | {PurePosixPath(path).name for path in self.paths}
