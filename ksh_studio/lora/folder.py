"""The files of the folder `loras` of a workspace, into which LoRA files from elsewhere are put, and their names.

One rule for the menu, the prompt, the page and the command line: a LoRA there is a `.safetensors` file in the folder or
in any folder below it, also where a link leads to it. Prompts call it by its file name, by its path below `loras`, or
by the name that its trainer gave it.
"""

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ksh_studio.lora.file.header import LoraHeader
from ksh_studio.project.workspace import Workspace

SUFFIX = ".safetensors"
FOLDER_LIMIT = 2_000
"""So many folders are looked through: a link to a whole disk must not stop the page."""


def lora_files(folder: Path) -> Iterator[Path]:
    """What is called a LoRA file below `folder`, links followed, each folder once; hidden files are left out."""
    visited: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real_place = os.path.realpath(place)
        if real_place in visited or len(visited) >= FOLDER_LIMIT:
            folders.clear()
            continue
        visited.add(real_place)
        # a folder that is called a LoRA file is named as one that cannot be read, and not looked into
        called_loras = {name for name in (*folders, *names) if name.lower().endswith(SUFFIX)}
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in called_loras)
        yield from (Path(place, name) for name in sorted(called_loras) if not name.startswith("."))


def name_below(workspace: Workspace, path: Path) -> str:
    """The path of a LoRA below the workspace's `loras`, without its ending; of a project's LoRA the file's name."""
    if path.is_relative_to(workspace.loras):
        return path.relative_to(workspace.loras).with_suffix("").as_posix()
    return path.stem


def paths_by_name(workspace: Workspace, headers: list[LoraHeader]) -> dict[str, Path]:
    """The file for every name that a prompt can call it by.

    headers: newest first; of two files with one name the newer one has it. The path below `loras` goes before the
    file's name, and that before the name inside the file, which A1111 writes into prompts.
    """
    paths: dict[str, Path] = {}
    for header in headers:
        paths.setdefault(plain_name(name_below(workspace, header.path)), header.path)
    for header in headers:
        paths.setdefault(plain_name(header.label), header.path)
    for header in headers:
        paths.setdefault(plain_name(header.metadata.get("ss_output_name", "")), header.path)
    paths.pop("", None)
    return paths


def plain_name(name: str) -> str:
    """A name as it is compared: slashes as on Linux, no ending, letters composed (macOS takes Hangul apart)."""
    text = unicodedata.normalize("NFC", name.replace("\\", "/"))
    path = PurePosixPath(text)
    return path.with_suffix("").as_posix() if path.suffix.lower() == SUFFIX else text
