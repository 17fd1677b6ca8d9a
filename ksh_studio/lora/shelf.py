"""The LoRA files of a workspace: found, listed, named by their path in it."""

from pathlib import Path

from ksh_studio.disk import inside
from ksh_studio.errors import StudioError
from ksh_studio.lora.file.header import LoraInfo, logger, read_header
from ksh_studio.project.workspace import Project, Workspace


def list_loras(workspace: Workspace, project: Project | None = None) -> list[LoraInfo]:
    """The readable LoRA files of the project's jobs and of `workspace/loras`, newest first.

    A file that cannot be read is left out and named in the log.
    """
    paths = list(workspace.loras.glob("*.safetensors"))
    if project is not None:
        paths += project.jobs.glob("*/loras/*.safetensors")
    found = []
    for path in paths:
        try:
            found.append(read_header(path))
        except StudioError as error:
            logger.warning("%s", error)
    return sorted(found, key=lambda info: (info.path.stat().st_mtime, info.label), reverse=True)


def relative(workspace: Workspace, info: LoraInfo) -> str:
    """How settings name the file: relative to the workspace, POSIX style."""
    return info.path.relative_to(workspace.root).as_posix()


def find_lora(workspace: Workspace, relative_path: str) -> Path:
    """The file that settings name. Raises StudioError when it lies outside the workspace or is not there."""
    path = inside(workspace.root, relative_path)
    if not path.is_file():
        raise StudioError("lora.missing", name=relative_path[:200])
    return path
