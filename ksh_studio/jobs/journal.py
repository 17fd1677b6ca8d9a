"""The file `events.jsonl`: one writer appends, any number of readers follow."""

import errno
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ksh_studio.disk import boot_id, disk_errors
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Final, Heartbeat, from_line, is_of_newer_studio, to_line

HEARTBEAT_SECONDS = 5.0
RESERVE_BYTES = 64_000
READ_BYTES = 4_000_000
"""Read at a time: a page that follows a huge file stays quick, and catches up with every call."""


@dataclass
class Journal:
    """Appends events to `events.jsonl`, one write a line, and a heartbeat every few seconds, until closed."""

    path: Path
    check: Callable[[], None] = lambda: None
    """Called before every line; raises StudioError where this process may no longer write."""
    reserve: Path | None = None
    """A file that only takes room, for the whole time: on a full disk it is given up for the line that says how the job
    ended."""
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _closed: threading.Event = field(default_factory=threading.Event)
    _torn: bool = False
    """Whether the last line is only half on the disk."""

    def __enter__(self) -> "Journal":
        """Start the heartbeat; a torn last line that a crash left is ended by what is written next."""
        self._torn = last_bytes(self.path, 1) not in (b"", b"\n")
        if self.reserve is not None:
            with suppress(OSError):  # no room, or it may not be written: the work itself will say so
                self.reserve.write_bytes(os.urandom(RESERVE_BYTES))  # that no disk can pack smaller
        threading.Thread(target=self._write_heartbeats, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop the heartbeat."""
        self._closed.set()
        self._give_up_reserve()

    def append(self, event: Event) -> None:
        """Put one event at the end of the file. Raises StudioError when the disk is full, and what `check` raises."""
        self._write(to_line(event), durable=isinstance(event, Final))

    def _write(self, data: bytes, durable: bool = False) -> None:
        self.check()
        with self._writing, disk_errors(self.path):
            try:
                self._write_line(data, durable)
            except OSError:
                if not (durable and self._give_up_reserve()):
                    raise
                self._write_line(data, durable)

    def _write_line(self, data: bytes, durable: bool) -> None:
        with self.path.open("ab", buffering=0) as file:
            line = (b"\n" if self._torn else b"") + data
            written = file.write(line) or 0
            if written:
                self._torn = line[written - 1] != ord("\n")
            if written < len(line):  # how a disk that becomes full shows itself first
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if durable:
                os.fsync(file.fileno())

    def _give_up_reserve(self) -> bool:
        """Remove the reserve; whether there was one."""
        if self.reserve is None or not self.reserve.exists():
            return False
        with suppress(OSError):
            self.reserve.unlink()
        return True

    def _write_heartbeats(self) -> None:
        while not self._closed.wait(HEARTBEAT_SECONDS):
            try:
                self.append(Heartbeat(uptime=time.monotonic(), boot=boot_id()))
            except (OSError, StudioError):
                continue  # the disk may have room again by the next heartbeat; the work itself reports a full disk


class EventReader:
    """Reads an `events.jsonl` as it grows: `new()` gives what has come since the last call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self.unknown = 0
        """Events read so far that only a newer studio knows."""

    def new(self) -> list[Event]:
        """Events of the next complete lines, of about `READ_BYTES`; from the beginning when the file was replaced."""
        try:
            size = self.path.stat().st_size
            if size < self.offset:
                self.offset = self.unknown = 0
            with self.path.open("rb") as file:
                file.seek(self.offset)
                data = file.read(READ_BYTES)
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        if not end and len(data) == READ_BYTES:
            end = len(data)  # no event is that long: a block of rubbish, skipped piece by piece
        self.offset += end
        events = []
        for line in data[:end].splitlines():
            event = from_line(line)
            if event is not None:
                events.append(event)
            elif is_of_newer_studio(line):
                self.unknown += 1
        return events

    def rest(self) -> list[Event]:
        """Events of all complete lines not read yet."""
        events: list[Event] = []
        before = -1
        while self.offset != before:
            before = self.offset
            events += self.new()
        return events


def last_bytes(path: Path, size: int) -> bytes:
    """The last `size` bytes of a file; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            return file.read()
    except FileNotFoundError:
        return b""
