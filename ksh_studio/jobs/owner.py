"""`process.json`: which process holds a job; told by more than its number, and the same after the clock was set.

A number is given out again, and what a system calls a process's creation time moves with its clock. So on Linux a
process is known by the tick at which it began and by the id of the machine's start. Ages are counted in monotonic
seconds, which all processes of one start of a machine share.
"""

import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import psutil

from ksh_studio.disk import write_text

OWNER_FILE = "process.json"
ON_BEHALF = "KSH_ON_BEHALF_OF"
"""Environment variable of processes that work for a job's own process: which one that is."""


@cache
def boot_id() -> str:
    """Which start of which machine this is; outside Linux only the machine's name."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()


@dataclass(frozen=True)
class Owner:
    """The process that holds a job, or is about to start it."""

    pid: int
    began: float
    """Of the process, in the system's own count: it tells two processes of one number apart."""
    boot: str
    uptime: float
    """Monotonic seconds at which it took the job."""
    starting: bool = False
    """Whether it only starts the job: the job's own process puts its name here next."""

    def lives(self) -> bool:
        """Whether this very process still runs, on this machine."""
        return self.boot == boot_id() and _began(self.pid) == self.began

    def is_me(self) -> bool:
        """Whether it is the process that asks, or the one on whose behalf that works."""
        if os.environ.get(ON_BEHALF) == self._name:
            return True
        return (self.pid, self.began, self.boot) == (os.getpid(), _began(os.getpid()), boot_id())

    @property
    def _name(self) -> str:
        return f"{self.pid}/{self.began}/{self.boot}"

    def kill(self) -> None:
        """End the process at once, if it is still the same."""
        try:
            process = psutil.Process(self.pid)  # opened before it is compared: kill() then refuses a successor
            if self.lives():
                process.kill()
        except psutil.NoSuchProcess:
            return


def take_ownership(folder: Path, starting: bool = False) -> None:
    """Put this process's name on the job in `folder`."""
    me = Owner(os.getpid(), _began(os.getpid()) or 0.0, boot_id(), time.monotonic(), starting)
    write_text(folder / OWNER_FILE, json.dumps(asdict(me)))


def release_ownership(folder: Path) -> None:
    """Take this process's name off the job in `folder`, without making it anybody's to go on with."""
    write_text(folder / OWNER_FILE, json.dumps(asdict(Owner(0, 0.0, "", 0.0))))


def owner_of(folder: Path) -> Owner | None:
    """Whose the job in `folder` is, or was last; None where that is not known."""
    try:
        return Owner(**json.loads((folder / OWNER_FILE).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


def environment_on_behalf(folder: Path) -> dict[str, str]:
    """What the environment of a process must have that works for the holder of the job in `folder`."""
    found = owner_of(folder)
    return {} if found is None else {ON_BEHALF: found._name}


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
