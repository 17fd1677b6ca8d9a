"""Files written completely or not at all, locks that end with their process, and the calls that differ by system."""

import errno
import hashlib
import json
import os
import platform
import re
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from ksh_studio.errors import StudioError

FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
IN_THE_WAY = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY)
NO_ANSWER = (errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE)
LOCK_SECONDS = 0.3
"""How long a lock is tried for: `is_locked` itself holds it for a moment."""
IS_LOCKED_SECONDS = 0.03
"""How long `is_locked` tries: another call of it at the same moment does not count as holding the lock."""
REPLACE_SECONDS = 1.0
SYNCED_AT_ONCE = 16
"""Files of a group that are flushed at the same time: the disk then writes its journal once for many of them."""
LEFT_OVER_SECONDS = 86_400.0
_UNFINISHED = re.compile(r"\..*?((?P<pid>[0-9]{1,9})-(?P<processes>[0-9a-f]{8})-)?[0-9a-f]{8}\.tmp", re.DOTALL)
SHARING_VIOLATIONS = (5, 32)
"""Windows' error numbers for a file that is open elsewhere."""


class Busy(StudioError):
    """Another process works there just now; trying again later is all that is needed."""


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the system's error for a full or protected disk into a StudioError that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StudioError("disk.full", path=path) from error
        if error.errno in FORBIDDEN:
            raise StudioError("disk.forbidden", path=path) from error
        raise


@contextmanager
def any_disk_errors(folder: Path) -> Iterator[None]:
    """Around a whole command or request: no error of the disk leaves it as the system's own.

    As `disk_errors`, and for what is in the way or does not answer; the sentence names the file that the system names,
    otherwise `folder`, in which the work is done.
    """
    try:
        yield
    except OSError as error:
        path = Path(error.filename) if isinstance(error.filename, str) else folder
        if error.errno in IN_THE_WAY and error.filename is not None:
            raise StudioError("disk.in_the_way", path=path) from error
        if error.errno in NO_ANSWER:
            raise StudioError("disk.no_answer", path=path, why=error.strerror) from error
        with disk_errors(path):
            raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it is synced and renamed to `path` when the block ends without an error.

    Raises StudioError when the disk is full or may not be written; `path` is then as it was.
    """
    beside = unfinished(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield beside
            sync(beside)
            _replace(beside, path)
            sync(path.parent)
        finally:
            beside.unlink(missing_ok=True)


def unfinished(path: Path) -> Path:
    """A path beside `path` for what is not whole yet; its name says which process works on it."""
    return path.with_name(f".{path.name}.{os.getpid()}-{_processes()}-{secrets.token_hex(4)}.tmp")


def is_left_over(path: Path) -> bool:
    """Whether a path of `unfinished` was left by a process that was killed; False while there is any doubt.

    The numbers of processes of another machine, container or start say nothing here: then it counts after a day
    without a change. So does a name from before it had the process in it.
    """
    match = _UNFINISHED.fullmatch(path.name)
    if match is None:
        return False
    if match["processes"] == _processes():
        return not psutil.pid_exists(int(match["pid"]))
    return time.time() - path.lstat().st_mtime > LEFT_OVER_SECONDS


@cache
def boot_id() -> str:
    """Identifies the start of the machine; outside Linux only the machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()


@cache
def _processes() -> str:
    """Identifies those processes whose numbers can be compared: of one start of one machine, and of one container."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return hashlib.sha256(f"{boot_id()} {namespace}".encode()).hexdigest()[:8]


def _replace(beside: Path, path: Path) -> None:
    """Rename to `path`; tried for a second, because Windows refuses while a page or a virus scanner has it open."""
    deadline = time.monotonic() + REPLACE_SECONDS
    while True:
        try:
            os.replace(beside, path)
            return
        except PermissionError as error:
            if getattr(error, "winerror", None) not in SHARING_VIOLATIONS or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def sync(path: Path) -> None:
    """Flush a file, or a folder's names, to the disk. Windows cannot sync a folder and need not."""
    if path.is_dir() and os.name == "nt":
        return
    flags = os.O_RDONLY if path.is_dir() or os.name != "nt" else os.O_RDWR
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file beside, sync it and rename it to `path`."""
    with replacing(path) as beside:
        beside.write_bytes(data)


def write_all(contents: Mapping[Path, bytes]) -> None:
    """Write several files as `write_bytes` writes one, in much less time; when this returns, all are on the disk.

    Raises StudioError when the disk is full or may not be written; each file is then as it was, or complete.
    """
    beside = {path: unfinished(path) for path in contents}
    folders = {path.parent for path in contents}
    with disk_errors(next(iter(contents), Path())):
        try:
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
            for path, data in contents.items():
                beside[path].write_bytes(data)
            with ThreadPoolExecutor(SYNCED_AT_ONCE) as threads:
                list(threads.map(sync, beside.values()))
            for path in contents:
                _replace(beside[path], path)
            for folder in folders:
                sync(folder)
        finally:
            for path in beside.values():
                path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """As `write_bytes`, with UTF-8; line ends stay as given."""
    write_bytes(path, text.encode("utf-8"))


def sha256(path: Path, start: int = 0) -> str:
    """SHA-256 of what a file holds from the byte `start` on, as 64 hex digits."""
    with path.open("rb") as file:
        file.seek(start)
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def locked(path: Path, key: str, seconds: float = LOCK_SECONDS, **values: object) -> Iterator[None]:
    """Hold the lock file `path` for the block.

    seconds: how long to wait for it. Raises Busy with the sentence `key` when another process holds it longer, another
    StudioError when it may not be written.
    """
    lock = lock_file(path)
    try:
        with disk_errors(path):
            lock.acquire(timeout=seconds, poll_interval=0.01)
    except Timeout as error:
        raise Busy(key, **values) from error
    try:
        yield
    finally:
        lock.release()


def lock_file(path: Path) -> FileLock:
    """An operating-system lock on `path`: free again when the holding process ends, however it ends."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, thread_local=False)


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock file `path`, which may be another user's or on a read-only disk."""
    if not path.exists():
        return False
    lock = lock_file(path)
    try:
        lock.acquire(timeout=IS_LOCKED_SECONDS, poll_interval=0.005)
    except Timeout:
        return True
    except OSError as error:
        if error.errno not in FORBIDDEN:
            raise
        return _is_locked_by_another_user(path)
    lock.release()
    return False


def _is_locked_by_another_user(path: Path) -> bool:
    """As `is_locked`, for a file that may only be read; False where it may not even be read."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in one of the studio's files. Raises StudioError when it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StudioError("disk.unreadable", path=path) from error
