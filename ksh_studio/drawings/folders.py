"""Walks a folder to import: goes into linked folders, never twice into one, and names what may not be read."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ksh_studio.drawings.file_kinds import folder_reason
from ksh_studio.errors import StudioError

PROJECT_FILES = frozenset(("project.json", "captions.db"))
"""What a folder holds that is a project of the studio itself."""
WORKSPACE_FOLDERS = frozenset(("projects", "loras", "cache"))
"""What a folder holds that is a workspace of the studio."""
_Entries = list["os.DirEntry[str]"]


@dataclass
class Walk:
    """The files below a folder, and what of it is left out.

    Links are followed, also to what lies outside the folder: only the owner of the machine may name a folder at all.
    """

    root: Path
    left_out: list[tuple[Path, str]] = field(default_factory=list)
    """(path, key of the sentence that says why)."""
    _entered: set[tuple[int, int]] = field(default_factory=set)

    def files(self) -> Iterator[Path]:
        """Every file, each folder's own before those of its folders, by name.

        Raises StudioError when the folder itself may not be read, or is the studio's.
        """
        try:
            self._entered = {_identity(folder) for folder in (self.root, *self.root.resolve().parents)}
            entries = _entries(self.root)
        except OSError as error:
            raise StudioError("import.forbidden", path=self.root) from error
        if _is_studios(self.root, entries):
            raise StudioError("import.studio_folder", path=self.root)
        waiting = [entries]
        while waiting:
            folders: list[_Entries] = []
            for entry in waiting.pop():
                if _is_folder(entry):
                    folders += self._enter(entry)
                elif self._is_file(entry):
                    yield Path(entry.path)
            waiting += reversed(folders)

    def _enter(self, entry: "os.DirEntry[str]") -> Iterator[_Entries]:
        """The entries of a folder that is to be read; none when it is left out."""
        reason = folder_reason(entry.name)
        entries: _Entries = []
        if reason is None:
            try:
                identity, entries = _identity(Path(entry.path)), _entries(Path(entry.path))
            except OSError:
                reason = "import.reason_folder_forbidden"
            else:
                if identity in self._entered:
                    reason = "import.reason_same_folder"
                elif _is_studios(Path(entry.path), entries):
                    reason = "import.reason_project"
                self._entered.add(identity)
        if reason is None:
            yield entries
        else:
            self.left_out.append((Path(entry.path), reason))

    def _is_file(self, entry: "os.DirEntry[str]") -> bool:
        try:
            if entry.is_file():
                return True
            reason = "import.reason_broken_link" if entry.is_symlink() else "import.reason_other"
        except OSError:  # a link in a circle, or into a folder that may not be read
            reason = "import.reason_broken_link"
        self.left_out.append((Path(entry.path), reason))
        return False


def _is_studios(folder: Path, entries: _Entries) -> bool:
    """Whether this is a project, a workspace, or the small copies of a project's drawings."""
    names = {entry.name for entry in entries}
    if names >= PROJECT_FILES or names >= WORKSPACE_FOLDERS:
        return True
    drawings = folder.parent
    return folder.name == "thumbs" and drawings.name == "drawings" and (drawings.parent / "project.json").is_file()


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _entries(folder: Path) -> _Entries:
    """What is in the folder: links after what is really there, each by name."""
    return sorted(os.scandir(folder), key=lambda entry: (entry.is_symlink(), entry.name))


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
