"""Lists the LoRA files of a workspace and finds one by its path."""

import logging
from dataclasses import dataclass
from pathlib import Path

from ksh_studio.errors import StudioError
from ksh_studio.locales import Sentence, sentence, valid_text
from ksh_studio.lora.file.header import LoraHeader, read_header
from ksh_studio.lora.folder import lora_files
from ksh_studio.paths import inside, is_plain
from ksh_studio.project.workspace import Project, Workspace

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class UnreadableLora:
    """A file that is called a LoRA and cannot be used."""

    path: str
    """In the workspace, POSIX style, as it can be shown."""
    reason: Sentence


@dataclass(frozen=True)
class LoraFiles:
    """The LoRA files of a workspace."""

    usable: list[LoraHeader]
    """Newest first."""
    unreadable: list[UnreadableLora]
    """By their path."""


def list_loras(workspace: Workspace, project: Project | None = None) -> LoraFiles:
    """The LoRA files of the project's jobs and below `workspace/loras`; with the reason where one cannot be used."""
    paths = list(lora_files(workspace.loras))
    if project is not None:
        paths += project.jobs.glob("*/loras/*.safetensors")
    usable: list[tuple[float, str, LoraHeader]] = []
    unreadable = []
    for path in paths:
        try:
            header = read_header(path)
            usable.append((path.stat().st_mtime, header.label, header))
            continue
        except StudioError as error:
            reason = error.sentence
        except FileNotFoundError:
            continue  # deleted since it was listed
        except Exception:  # noqa: BLE001 - whatever is in one file, the others stay in the menu; the log has the rest
            logger.exception("%s", path)
            reason = sentence("lora.damaged", name=path.name)
        unreadable.append(UnreadableLora(valid_text(path.relative_to(workspace.root).as_posix()), reason))
    newest_first = [header for *_, header in sorted(usable, key=lambda entry: entry[:2], reverse=True)]
    return LoraFiles(newest_first, sorted(unreadable, key=lambda lora: lora.path))


def path_in_workspace(workspace: Workspace, header: LoraHeader) -> str:
    """The path by which settings name the file: relative to the workspace, POSIX style."""
    return header.path.relative_to(workspace.root).as_posix()


def find_lora(workspace: Workspace, relative_path: str) -> Path:
    """The file at a path from the settings, as `list_loras` has it.

    Below `loras` links are followed, since the artist has put them there; elsewhere a path that leaves the workspace
    through a link is refused. Raises StudioError when it lies outside the workspace or does not exist.
    """
    path = workspace.root / relative_path
    if not (is_plain(relative_path) and path.is_relative_to(workspace.loras)):
        inside(workspace.root, relative_path)
    try:
        is_file = path.is_file()
    except OSError:  # a name that is too long
        is_file = False
    if not is_file:
        raise StudioError("lora.missing", name=relative_path[:200])
    return path
