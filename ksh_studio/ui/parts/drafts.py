"""What is typed on the page and not confirmed yet: kept in the browser, under a place that is the project's own."""

import hashlib
from pathlib import Path

from ksh_studio.project.workspace import Project


def draft_place(project: Project) -> str:
    """Where the browser keeps the project's drafts: `<workspace>/<project>`.

    Other workspaces may be served at the same address one after the other, and a slug may be given again after its
    project was deleted: neither gets a draft of the other.
    """
    return f"{_folder_id(project.workspace.root)}/{_folder_id(project.root)}"


def _folder_id(folder: Path) -> str:
    """Tells a folder from others that had its path before, without saying where it is."""
    return hashlib.sha256(f"{folder} {folder.stat().st_ino}".encode(errors="surrogateescape")).hexdigest()[:16]
