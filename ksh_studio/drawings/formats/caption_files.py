"""Captions that lie beside drawings: tables such as info.csv and metadata.jsonl, and a file for each picture."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from ksh_studio.config import MAX_PROMPT_CHARACTERS
from ksh_studio.drawings.encodings import Encodings, UncertainEncoding
from ksh_studio.drawings.formats.tables import Row, caption_in_json, read_table
from ksh_studio.drawings.pixels import Unreadable
from ksh_studio.drawings.sources import SIDECARS, TABLES, Source, SourceFile, displayable_path, read_all
from ksh_studio.events import Event, Warned
from ksh_studio.locales import listed
from ksh_studio.project.catalogue import By, tidy

MAX_TABLE_BYTES = 64_000_000
MAX_SIDECAR_BYTES = 1_000_000
FIRST_BYTES = 64_000
_SIDECARS_BY_RANK = (".json", ".tags", ".cap", ".caption", ".txt")
"""When a picture has several, the last one counts."""
_TABLES_BY_RANK = ("info.csv", "metadata.csv", "metadata.jsonl")
_CAPTION_FOLDERS = frozenset("caption captions text texts txt label labels tag tags annotation annotations".split())
"""Folders in which the caption files of the pictures in a neighbouring folder lie."""


@dataclass(frozen=True)
class CaptionInFile:
    """A caption and the file it comes from."""

    text: str
    by: By


class CaptionFiles:
    """The captions of one source, by the path of the picture.

    When several files have a caption for a picture, its own text file is used, else metadata.jsonl, else metadata.csv,
    else info.csv, else a table of another name. A table may lie in the picture's folder or in one above it.
    """

    def __init__(self, source: Source) -> None:
        self.unused: list[tuple[str, str]] = []
        """(caption file that belongs to no drawing, key of the sentence that says so)."""
        self._captions: dict[str, CaptionInFile] = {}
        self._problems: dict[tuple[str, tuple[tuple[str, str], ...]], list[str]] = {}
        self._warnings: list[Event] = []
        pictures = _Names([file.path for file in source.pictures])
        owners = _owners(source.caption_files, pictures)
        files = [file for file in source.caption_files if self._may_hold_captions(file, owners)]
        encodings = Encodings((file.path, _first_lines(file)) for file in files)
        for file in sorted(files, key=lambda file: _rank(file, owners)):
            text = self._text(file, encodings, MAX_SIDECAR_BYTES if file.path in owners else MAX_TABLE_BYTES)
            if text is not None and file.path in owners:
                self._take_sidecar(file, text, owners[file.path])
            elif text is not None:
                self._take_table(file, text, pictures)

    @property
    def warnings(self) -> list[Event]:
        """What is wrong with the caption files; the import goes on all the same."""
        problems = [
            Warned.saying(key, count=len(paths), names=listed(paths), **dict(values))
            for (key, values), paths in self._problems.items()
        ]
        return self._warnings + problems

    def caption_of(self, path: str) -> CaptionInFile | None:
        """The caption of the picture at `path` as written, the trigger included; None when it has none."""
        return self._captions.get(path)

    def _may_hold_captions(self, file: SourceFile, owners: dict[str, str]) -> bool:
        """Whether a file is a table, or the caption of a picture that is here; otherwise it is unused."""
        if file.path in owners or file.suffix in TABLES:
            return True
        self.unused.append((file.path, "import.reason_caption_alone"))
        return False

    def _text(self, file: SourceFile, encodings: Encodings, limit: int) -> str | None:
        """The file's text; None when it cannot be read, which is noted."""
        try:
            return encodings.text_of(file.path, read_all(file, limit, "import.reason_captions_heavy"))
        except Unreadable as error:
            self.unused.append((file.path, error.sentence.key))
        except UncertainEncoding as error:
            self._note("import.encoding_uncertain", file.path, encodings=", ".join(error.candidates))
        return None

    def _take_table(self, file: SourceFile, text: str, pictures: "_Names") -> None:
        folder = PurePosixPath(file.path).parent
        try:
            table = read_table(file.name.lower(), text, pictures.below(folder))
        except ValueError:
            self._leave_table(file)
            return
        missing = [row.name for row in table.rows if not self._take_row(row, folder, pictures, file)]
        if len(missing) == len(table.rows) and file.name.lower() not in _TABLES_BY_RANK:
            self._leave_table(file)
            return
        if table.repaired:
            self._warn("import.table_repaired", file, count=len(table.rows) - len(missing))
        if table.skipped:
            self._warn("import.table_lines", file, count=table.skipped)
        if missing:
            names = listed([displayable_path(name) for name in missing])
            self._warn("import.rows_without_drawing", file, count=len(missing), names=names)

    def _leave_table(self, file: SourceFile) -> None:
        """Name a table without captions: by a warning when it is called as tables of captions are."""
        if file.name.lower() in _TABLES_BY_RANK:
            self._note("import.table_without_rows", file.path)
        else:
            self.unused.append((file.path, "import.reason_no_captions"))

    def _take_row(self, row: Row, folder: PurePosixPath, pictures: "_Names", file: SourceFile) -> bool:
        path = pictures.find(folder, displayable_path(row.name))
        if path is not None:
            self._keep(path, row.caption, row.by or By("file", file.name), file)
        return path is not None

    def _take_sidecar(self, file: SourceFile, text: str, path: str) -> None:
        if file.suffix == ".json":
            try:
                text = caption_in_json(text)
            except ValueError:
                self.unused.append((file.path, "import.reason_no_captions"))
                return
        self._keep(path, text, By("file", file.name), file)

    def _keep(self, path: str, text: str, by: By, file: SourceFile) -> None:
        text = tidy(text)
        if len(text) > MAX_PROMPT_CHARACTERS:
            self._note("import.caption_too_long", file.path, limit=MAX_PROMPT_CHARACTERS)
        elif text:
            self._captions[path] = CaptionInFile(text, by)

    def _note(self, key: str, path: str, **values: object) -> None:
        """Note a problem that many files may have: one warning names them together."""
        same = (key, tuple((name, str(value)) for name, value in values.items()))
        self._problems.setdefault(same, []).append(path)

    def _warn(self, key: str, file: SourceFile, **values: object) -> None:
        self._warnings.append(Warned.saying(key, **({"name": file.path} | values)))


def _first_lines(file: SourceFile) -> bytes:
    """Whole lines from the beginning of the file, by which its encoding is judged; nothing when it cannot be read."""
    try:
        data = file.read(FIRST_BYTES)
    except (OSError, Unreadable):
        return b""
    return data if len(data) < FIRST_BYTES else data[: data.rfind(b"\n")]


def _rank(file: SourceFile, owners: dict[str, str]) -> tuple[bool, int, str]:
    """When a file is read; what is read later replaces what was read earlier."""
    ranks = _SIDECARS_BY_RANK if file.path in owners else _TABLES_BY_RANK
    name = file.suffix if file.path in owners else file.name.lower()
    return file.path in owners, ranks.index(name) if name in ranks else -1, file.path


def _owners(files: list[SourceFile], pictures: "_Names") -> dict[str, str]:
    """The picture of each file that is the caption of one, by the file's path."""
    owners = {}
    for file in files:
        if file.suffix in SIDECARS:
            owner = pictures.beside(PurePosixPath(file.path))
            if owner is not None:
                owners[file.path] = owner
    return owners


class _Names:
    """Finds the pictures of a source by the names that caption files use."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths
        self._exact = set(paths)
        self._folded: dict[str, str] = {}
        self._last: dict[str, list[str]] = {}
        self._stems: dict[str, str] = {}
        self._stems_anywhere: dict[str, list[str]] = {}
        for path in paths:
            pure = PurePosixPath(path)
            self._folded.setdefault(path.casefold(), path)
            self._last.setdefault(pure.name.casefold(), []).append(path)
            self._stems.setdefault(str(pure.with_suffix("")), path)
            self._stems.setdefault(str(pure.with_suffix("")).casefold(), path)
            self._stems_anywhere.setdefault(pure.stem.casefold(), []).append(path)

    def beside(self, file: PurePosixPath) -> str | None:
        """The picture whose caption file this is: `a.txt`, `A.TXT`, `a.png.txt`, `a.txt.txt`, or `captions/a.txt`."""
        stem = file.with_suffix("")
        for name in (str(stem), str(stem).casefold()):
            path = self._stems.get(name) or self._folded.get(name)
            if path is not None:
                return path
        if stem.suffix.lower() in SIDECARS:
            return self.beside(stem)
        if file.parent.name.casefold() in _CAPTION_FOLDERS:
            return self._only(self._stems_anywhere.get(stem.name.casefold(), []), file.parent.parent)
        return None

    def _only(self, paths: list[str], folder: PurePosixPath) -> str | None:
        inside = [path for path in paths if PurePosixPath(path).is_relative_to(folder)]
        return inside[0] if len(inside) == 1 else None

    def find(self, folder: PurePosixPath, name: str) -> str | None:
        """The path of the picture that a table in `folder` calls `name`; None when there is none.

        A name that is no path from there counts as the file's name alone, when only one picture has that name; a name
        without an ending as the picture's stem.
        """
        path = str(folder / name)
        if path in self._exact:
            return path
        if path.casefold() in self._folded:
            return self._folded[path.casefold()]
        last = self._last.get(PurePosixPath(name).name.casefold(), [])
        if not last:
            last = self._stems_anywhere.get(PurePosixPath(name).name.casefold(), [])
        return last[0] if len(last) == 1 else None

    def below(self, folder: PurePosixPath) -> set[str]:
        """Every name that a table in `folder` may use: paths from that folder, and names of files."""
        prefix = "" if str(folder) == "." else f"{folder}/"
        inner = {path.removeprefix(prefix) for path in self.paths if path.startswith(prefix)}
        return inner | {PurePosixPath(path).name for path in self.paths}
