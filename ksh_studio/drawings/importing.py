"""Imports a folder, a zip or files: each picture becomes an upright copy in the project, with its caption."""

import hashlib
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ksh_studio.disk import locked
from ksh_studio.drawings.decoding import Decoders
from ksh_studio.drawings.formats.caption_files import CaptionFiles
from ksh_studio.drawings.groups import Group, GroupWriter
from ksh_studio.drawings.pixels import ConvertedPicture, Unreadable
from ksh_studio.drawings.sources import Source, SourceFile, open_sources, read_all
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Finished, Imported, Progress, Stopped, Warned
from ksh_studio.locales import Sentence, listed
from ksh_studio.project.catalogue import CaptionConflict, Catalogue, Drawing, NewDrawing, Seen, bare
from ksh_studio.project.workspace import Project


def import_drawings(
    source: Path | list[Path], project: Project, names: Mapping[Path, str] | None = None
) -> Iterator[Event]:
    """As `import_locked`, holding the lock on the project's drawings. Raises StudioError when another process does."""
    paths = source if isinstance(source, list) else [source]
    with locked(project.drawings_lock, "import.busy"):
        yield from import_locked(paths, project, names)


def import_locked(
    paths: list[Path],
    project: Project,
    names: Mapping[Path, str] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Import drawings into the project; a drawing that it has already stays there, with its caption.

    paths: folders, zips, pictures and caption files. names: the original names of files that an upload has renamed, by
    their path. The caller holds the lock on the project's drawings.
    Yields Progress, warnings, one Imported and Finished, or Stopped. Every drawing is on disk and committed before the
    Progress that counts it, and an import that was interrupted can be started again from the beginning.
    Raises StudioError when the sources hold no picture, no file can be read, a zip is unsafe, or the disk is full.
    """
    with open_sources(paths, names) as sources, Catalogue(project) as catalogue:
        files = [(each, file) for each in sources for file in each.pictures]
        if not files:
            yield from _nothing(sources)
        if not catalogue.wal:
            yield Warned.saying("captions.no_wal")
        yield from _Import(project, catalogue, sources).events(files, should_stop)


def _nothing(sources: list[Source]) -> Iterator[Event]:
    """Name what was left out of sources without a picture, then raise the StudioError that says why there is none."""
    if not sources:
        raise StudioError("import.nothing_chosen")
    label = listed([source.label for source in sources])
    left_out = [entry for source in sources for entry in source.left_out]
    if left_out:
        yield Imported(added=0, known=0, captions=0, unreadable=tuple(left_out))
        name, reason = left_out[0]
        raise StudioError("import.none_readable", count=len(left_out), name=name or label, why=f"@{reason}")
    if any(source.caption_files for source in sources):
        raise StudioError("import.no_pictures", name=label)
    raise StudioError("import.empty_folder", name=label)


@dataclass(frozen=True)
class _File:
    source: Source
    path: str
    sha256: str = ""
    unreadable: Sentence | None = None
    """Why the file could not be read; None when it could."""


class _Import:
    """One import and its counts so far."""

    def __init__(self, project: Project, catalogue: Catalogue, sources: list[Source]) -> None:
        self.project = project
        self.catalogue = catalogue
        self.caption_files = {source: CaptionFiles(source) for source in sources}
        self.began = time.monotonic()
        self.done = 0
        """Files of which nothing more is to be done."""
        self.captions = 0
        self.new: set[str] = set()
        self.known: set[str] = set()
        self.first_path: dict[str, str] = {}
        """The path of the first file with this drawing, by the drawing's id."""
        self.outcome: dict[str, str | Sentence] = {}
        """By the file's SHA-256: the id of the drawing that was made of it, or why none was made."""
        self.by_pixels: dict[str, NewDrawing] = {}
        """The new drawings by the hash of their pixels: those of a group are not in the catalogue yet."""
        self.duplicates: list[tuple[str, str]] = []
        self.captioned_by: dict[str, str] = {}
        """The path of the first file with this drawing that has a caption beside it, by the drawing's id."""
        self.other_captions: list[str] = []
        """Files whose caption is another than the one beside the first file with the same drawing."""
        self.unreadable: list[tuple[str, Sentence]] = []
        self.imported: dict[Source, list[Seen]] = {source: [] for source in sources}

    def events(self, files: list[tuple[Source, SourceFile]], should_stop: Callable[[], bool]) -> Iterator[Event]:
        for caption_files in self.caption_files.values():
            yield from caption_files.warnings
        yield Progress(phase="import", done=0, total=len(files))
        for group in self._groups(files, should_stop):
            self._commit(group)
            yield Progress(phase="import", done=self.done, total=len(files))
        if self.done < len(files):
            yield Stopped.saying("import.stopped", added=len(self.new), left=len(files) - self.done)
            return
        if self.other_captions:
            yield Warned.saying("import.twin_captions", **_counted(self.other_captions))
        gone = yield from self._compare()
        yield Imported(
            added=len(self.new),
            known=len(self.known),
            captions=self.captions,
            duplicates=tuple(self.duplicates),
            unreadable=tuple(self._left_out()),
            gone=gone,
        )
        yield self._end(len(files))

    def _groups(
        self, files: list[tuple[Source, SourceFile]], should_stop: Callable[[], bool]
    ) -> Iterator[Group[_File]]:
        """The files in groups, each when the copies of its drawings are on disk; ends early when asked to stop."""
        group = Group[_File]()
        with Decoders[_File]() as decoders, GroupWriter[_File]() as writer:
            for file, converted in decoders.convert(self._read(files), should_stop):
                self._add(group, file, converted)
                if group.is_full:
                    before, group = writer.exchange(group), Group()
                    if before is not None:
                        yield before
                if should_stop():
                    break
            for last in (writer.exchange(group), writer.finish()):
                if last is not None:
                    yield last

    def _read(self, files: list[tuple[Source, SourceFile]]) -> Iterator[tuple[_File, bytes | None]]:
        """Yield each file, with its bytes when they must still be converted and None when they need not."""
        submitted: set[str] = set()
        for source, source_file in files:
            try:
                data = read_all(source_file)
            except Unreadable as error:
                yield _File(source, source_file.path, unreadable=error.sentence), None
                continue
            file = _File(source, source_file.path, hashlib.sha256(data).hexdigest())
            drawing = self.catalogue.known(file.sha256)
            whole = drawing is not None and drawing.path(self.project).exists() and drawing.thumb(self.project).exists()
            yield file, None if whole or file.sha256 in submitted else data
            submitted.add(file.sha256)

    def _add(self, group: Group[_File], file: _File, converted: ConvertedPicture | Unreadable | None) -> None:
        """Put a file into the group, with the copies to write when its drawing is new or has lost them."""
        group.files.append(file)
        if isinstance(converted, Unreadable):
            self.outcome[file.sha256] = converted.sentence
        elif isinstance(converted, ConvertedPicture):
            self.outcome[file.sha256] = self._drawing(group, file, converted).id
        elif file.unreadable is None and file.sha256 not in self.outcome:
            known = self.catalogue.known(file.sha256)
            if known is not None:
                self.outcome[file.sha256] = known.id

    def _drawing(self, group: Group[_File], file: _File, picture: ConvertedPicture) -> NewDrawing:
        """The drawing with this picture; a new one where there is none."""
        drawing = self.by_pixels.get(picture.pixel_sha256) or self.catalogue.same_pixels(picture.pixel_sha256)
        if drawing is None:
            drawing = NewDrawing(
                id=file.sha256[:16],
                original_name=PurePosixPath(file.path).name,
                source_path=file.path,
                width=picture.width,
                height=picture.height,
                file_sha256=file.sha256,
                pixel_sha256=picture.pixel_sha256,
                flags=picture.flags,
            )
            self.by_pixels[picture.pixel_sha256] = drawing
            group.drawings.append(drawing)
        for path, data in ((drawing.path(self.project), picture.webp), (drawing.thumb(self.project), picture.thumb)):
            if not path.exists():
                group.copies[path] = data
        return drawing

    def _commit(self, group: Group[_File]) -> None:
        """Commit the group's drawings, whose copies are on disk, and their captions."""
        with self.catalogue.together():
            self.new |= {drawing.id for drawing in group.drawings if self.catalogue.add(drawing)}
            for file in group.files:
                self._take(file)
        self.done += len(group.files)

    def _take(self, file: _File) -> None:
        """Count the file's drawing and take over its caption, or note why it cannot be read."""
        outcome = file.unreadable or self.outcome[file.sha256]
        if isinstance(outcome, Sentence):
            self.unreadable.append((file.path, outcome))
            return
        if outcome in self.first_path:
            self.duplicates.append((file.path, self.first_path[outcome]))
        elif outcome not in self.new:
            self.known.add(outcome)
        self.first_path.setdefault(outcome, file.path)
        self.imported[file.source].append(Seen(file.path, file.sha256, outcome))
        self._caption(file, self.catalogue.drawing(outcome))

    def _caption(self, file: _File, drawing: Drawing) -> None:
        """Take over the caption beside the file, unless a person or a captioner has already written one."""
        in_file = self.caption_files[file.source].caption_of(file.path)
        if in_file is None or (drawing.revision and drawing.source != "file"):
            return
        first = self.captioned_by.setdefault(drawing.id, file.path)
        if drawing.revision and (first != file.path or drawing.original_name != PurePosixPath(file.path).name):
            if bare(in_file.text, self.project.settings().trigger) != drawing.caption:
                self.other_captions.append(f"{file.path} (= {drawing.original_name})")
            return
        try:
            saved = self.catalogue.save_caption(drawing.id, in_file.text, in_file.by, expected=drawing.revision)
        except CaptionConflict:
            return  # somebody has just written one on the page, which is kept
        self.captions += saved.revision != drawing.revision

    def _compare(self) -> Generator[Event, None, tuple[str, ...]]:
        """Store which files each folder or zip holds; warn of changed files, and return the paths that are gone."""
        gone: list[str] = []
        changed: list[str] = []
        for source, files in self.imported.items():
            if not source.root:
                continue
            hashes = {file.file_sha256 for file in files}
            paths = {picture.path for picture in source.pictures}
            lost = [file for file in self.catalogue.seen(source.root) if file.file_sha256 not in hashes]
            missing = [file for file in lost if file.path not in paths]
            changed += [file.path for file in lost if file.path in paths]
            gone += [file.path for file in missing]
            self.catalogue.remember(source.root, [*files, *missing])
        if changed:
            yield Warned.saying("import.changed", **_counted(changed))
        return tuple(gone)

    def _left_out(self) -> Iterator[tuple[str, str]]:
        """Every file that is not among the drawings and captions, with the key of the sentence that says why."""
        yield from ((path, reason.key) for path, reason in self.unreadable)
        for source, caption_files in self.caption_files.items():
            yield from caption_files.unused
            yield from source.left_out

    def _end(self, files: int) -> Event:
        """The last event. Raises StudioError when no file could be read."""
        if len(self.unreadable) == files:
            name, reason = self.unreadable[0]
            raise StudioError("import.none_readable", count=files, name=name, why=f"@{reason.key}")
        seconds = time.monotonic() - self.began
        total = self.catalogue.counts()["all"]
        values = {"total": str(total), "seconds": f"{seconds:.1f}"}
        return Finished(key="import.finished", values=values, figures={"import_seconds": seconds, "drawings": total})


def _counted(names: list[str]) -> dict[str, str]:
    return {"count": str(len(names)), "names": listed(names)}
