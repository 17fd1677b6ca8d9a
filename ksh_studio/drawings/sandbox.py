"""Takes away from a process what decoding pictures does not need, so that a file that gains control of it gains little.

Each part is taken where the system allows it; none is required. What remains open stands in `assets/docs/safety.md`.
"""

import ctypes
import os
import sys
import tempfile
from contextlib import suppress

MEMORY_BYTES = 4 << 30
SECONDS_A_FILE = 60
OPEN_FILES = 64
_NEW_USER_NAMESPACE, _NEW_NETWORK_NAMESPACE = 0x10000000, 0x40000000
_NO_NEW_PRIVILEGES = 38


def enter_sandbox() -> None:
    """Give up environment, folder, network and most resources of this process, for good."""
    os.environ.clear()
    sys.dont_write_bytecode = True
    if os.name == "nt":
        return
    _enter_empty_folder()
    if sys.platform == "linux":
        _leave_network()
    import resource

    _limit(resource.RLIMIT_AS, MEMORY_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)  # no byte into any file; pipes are none
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    _limit(resource.RLIMIT_NPROC, 0)


def allow_time_for_a_file() -> None:
    """Let the system end this process when the next file takes longer than SECONDS_A_FILE of processor time."""
    if os.name == "nt":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = int(used.ru_utime + used.ru_stime) + SECONDS_A_FILE
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard < 0 else min(soft, hard), hard))


def _limit(kind: int, most: int) -> None:
    """Lower a limit of this process; it cannot be raised again."""
    import resource

    hard = resource.getrlimit(kind)[1]
    lowest = most if hard < 0 else min(most, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(kind, (lowest, lowest))


def _enter_empty_folder() -> None:
    """Work in a folder that has been removed: nothing is in it, and nothing can be put there."""
    with suppress(OSError):
        folder = tempfile.mkdtemp()
        os.chdir(folder)
        os.rmdir(folder)


def _leave_network() -> None:
    """Enter a network of its own without any connection, where users may have one; no new rights by any program."""
    with suppress(OSError, AttributeError):
        system = ctypes.CDLL(None, use_errno=True)
        system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        system.unshare(_NEW_USER_NAMESPACE | _NEW_NETWORK_NAMESPACE)
