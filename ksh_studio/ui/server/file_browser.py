"""A folder is shown in the file browser of the machine that the studio runs on."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

from ksh_studio.errors import StudioError

COMMANDS = {"win32": "explorer", "darwin": "open"}
SECONDS = 3.0
"""How long the command is watched: it answers at once, or is the file browser itself and stays."""


def open_folder(path: Path) -> None:
    """Show a folder in the system's file browser. Raises StudioError where there is none, or none that starts."""
    command = COMMANDS.get(sys.platform, "xdg-open")
    if shutil.which(command) is None:
        raise StudioError("disk.no_browser", path=path)
    nothing = subprocess.DEVNULL
    try:
        process = subprocess.Popen([command, str(path)], stdin=nothing, stdout=nothing, stderr=nothing)
    except OSError as error:
        raise StudioError("disk.not_shown", path=path) from error
    try:
        failed = process.wait(SECONDS) != 0
    except subprocess.TimeoutExpired:
        # Waited for, so that no dead process stays behind when the file browser is closed.
        threading.Thread(target=process.wait, name="file browser", daemon=True).start()
        return
    if failed and sys.platform != "win32":  # Windows' explorer answers 1 although the folder is shown
        raise StudioError("disk.not_shown", path=path)
