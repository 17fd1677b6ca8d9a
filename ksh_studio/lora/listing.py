"""Lists the LoRA files of a workspace and finds one by its path."""

import logging
from pathlib import Path

from ksh_studio.disk import inside
from ksh_studio.errors import StudioError
from ksh_studio.lora.file.header import LoraHeader, read_header
from ksh_studio.project.workspace import Project, Workspace

logger = logging.getLogger(__name__)


def list_loras(workspace: Workspace, project: Project | None = None) -> list[LoraHeader]:
    """The headers of the LoRA files of the project's jobs and of `workspace/loras`, newest first.

    A file that cannot be read is left out; the log says which and why.
    """
    paths = list(workspace.loras.glob("*.safetensors"))
    if project is not None:
        paths += project.jobs.glob("*/loras/*.safetensors")
    headers = []
    for path in paths:
        try:
            headers.append(read_header(path))
        except StudioError as error:
            logger.warning("%s", error)
    return sorted(headers, key=lambda header: (header.path.stat().st_mtime, header.label), reverse=True)


def path_in_workspace(workspace: Workspace, header: LoraHeader) -> str:
    """The path by which settings name the file: relative to the workspace, POSIX style."""
    return header.path.relative_to(workspace.root).as_posix()


def find_lora(workspace: Workspace, relative_path: str) -> Path:
    """The file at a path from the settings. Raises StudioError when it lies outside the workspace or does not exist."""
    path = inside(workspace.root, relative_path)
    if not path.is_file():
        raise StudioError("lora.missing", name=relative_path[:200])
    return path
