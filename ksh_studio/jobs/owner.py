"""Which process owns a job: `process.json` in the job's folder.

The process's number alone does not identify it: the system gives numbers out again, and what it calls a process's
creation time moves with its clock. So on Linux a process is identified by the tick at which it began and by the id of
the machine's start. Ages are counted in monotonic seconds, which all processes of one start of a machine share.
"""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from ksh_studio.disk import boot_id, write_text

OWNER_FILE = "process.json"
ON_BEHALF = "KSH_ON_BEHALF_OF"
"""Environment variable of processes that help a job's own process: its value identifies the owner."""


@dataclass(frozen=True)
class Owner:
    """The process that owns a job, or is about to start it."""

    pid: int
    began: float
    """When the process began, in the system's own count: two processes of the same number differ in it."""
    boot: str
    uptime: float
    """Monotonic seconds at which it became the owner."""
    starting: bool = False
    """Whether it only starts the job: the job's own process becomes the owner next."""

    def is_running(self) -> bool:
        """Whether this very process still runs on this machine."""
        return self.boot == boot_id() and _began(self.pid) == self.began

    def is_this_process(self) -> bool:
        """Whether the owner is the process that calls this, or the one that it helps."""
        if os.environ.get(ON_BEHALF) == self.identity:
            return True
        return (self.pid, self.began, self.boot) == (os.getpid(), _began(os.getpid()), boot_id())

    @property
    def identity(self) -> str:
        """The process as the environment variable `ON_BEHALF` names it."""
        return f"{self.pid}/{self.began}/{self.boot}"

    def kill(self) -> None:
        """End the process at once, if it still runs."""
        try:
            # opened before it is compared: kill() then refuses a later process of this number
            process = psutil.Process(self.pid)
            if self.is_running():
                process.kill()
        except psutil.NoSuchProcess:
            return


def take_ownership(folder: Path, starting: bool = False) -> None:
    """Make this process the owner of the job in `folder`."""
    owner = Owner(os.getpid(), _began(os.getpid()) or 0.0, boot_id(), time.monotonic(), starting)
    write_text(folder / OWNER_FILE, json.dumps(asdict(owner)))


def release_ownership(folder: Path) -> None:
    """Leave the job in `folder` without an owner; the file stays, so that the job does not count as a new one."""
    write_text(folder / OWNER_FILE, json.dumps(asdict(Owner(0, 0.0, "", 0.0))))


def owner_of(folder: Path) -> Owner | None:
    """The owner of the job in `folder`, or its last one; None where that is not known."""
    try:
        return Owner(**json.loads((folder / OWNER_FILE).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


def environment_on_behalf(folder: Path) -> dict[str, str]:
    """Environment variables for a process that helps the owner of the job in `folder`."""
    owner = owner_of(folder)
    return {} if owner is None else {ON_BEHALF: owner.identity}


def _began(pid: int) -> float | None:
    """When the process began, in a count that setting the clock does not move; None when it does not run."""
    try:
        if sys.platform != "linux":
            return psutil.Process(pid).create_time()
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (OSError, psutil.Error):
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else float(fields[18])  # proc_pid_stat(5): field 22, starttime
