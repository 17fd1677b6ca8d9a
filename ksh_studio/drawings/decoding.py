"""Converts pictures in child processes, several at a time: a hostile file can end only the process that reads it."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Generic, TypeVar

import psutil

from ksh_studio.drawings.pixels import ConvertedPicture, Unreadable, convert
from ksh_studio.drawings.sandbox import allow_time_for_a_file, enter_sandbox

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

MOST_PROCESSES = 8
HELD_BYTES = 400_000_000
"""The most bytes of files that are in memory while they wait to be converted."""
FREE_MEMORY_SHARE = 0.6
"""How much of the memory that is free at the start all decoders together may use."""
PROCESS_BYTES = 60_000_000
PIXEL_BYTES = 24
"""Memory that decoding takes for each pixel at most: a 64-megapixel drawing in RGBA takes 1.1 GB, as WebP 1.3 GB."""
STOP_SECONDS = 0.2

T = TypeVar("T")
Converted = ConvertedPicture | Unreadable
_Waiting = tuple[T, bytes | None, Future[Converted] | None]


class Decoders(Generic[T]):
    """Child processes that convert pictures, with limits of memory and time.

    Used as `with Decoders() as decoders: for file, converted in decoders.convert(files)`. Leaving the block ends at
    once what is still being decoded.
    """

    def __init__(self, processes: int | None = None) -> None:
        self.processes = processes or min(MOST_PROCESSES, _cores())
        self._threads = ThreadPoolExecutor(self.processes)  # each waits for one process
        self._memory = _Memory(int(psutil.virtual_memory().available * FREE_MEMORY_SHARE))
        self._idle: list[_Decoder] = []
        self._all: set[_Decoder] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> "Decoders[T]":
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._closed = True
            decoders = set(self._all)
        for decoder in decoders:
            decoder.end()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def convert(
        self, files: Iterable[tuple[T, bytes | None]], should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[T, Converted | None]]:
        """Yield each file, in the given order, with its converted picture or the reason why it has none.

        Only a few files are in memory at a time. A file given without bytes is yielded in its place with None.
        should_stop: called several times a second while a file is decoded; True ends this early.
        """
        waiting: deque[_Waiting[T]] = deque()
        for file, data in files:
            future = None if data is None else self._threads.submit(self._convert, data)
            waiting.append((file, data, future))
            while waiting and (len(waiting) > 2 * self.processes or _bytes_in(waiting) > HELD_BYTES):
                if not _is_done(waiting[0], should_stop):
                    return
                yield _result(waiting.popleft())
        while waiting and _is_done(waiting[0], should_stop):
            yield _result(waiting.popleft())

    def _convert(self, data: bytes) -> Converted:
        """Convert in a process that is idle, or in a new one; a file that ends its process is no reason to end."""
        converted, number = self._tried(data, self._memory)
        if number == -signal.SIGKILL and not self._closed:  # the system had no memory left: once more, alone
            with self._memory.whole() as memory:
                converted, _ = self._tried(data, memory)
        return converted or Unreadable("import.reason_crashed")

    def _tried(self, data: bytes, memory: "_Memory") -> tuple[Converted | None, int | None]:
        """The converted picture, or None and the exit code of the process that it has ended."""
        with self._lock:
            if self._closed:
                return None, None
            decoder = self._idle.pop() if self._idle else _Decoder()
            self._all.add(decoder)
        try:
            converted = decoder.convert(data, memory)
        except (EOFError, OSError):
            with self._lock:
                self._all.discard(decoder)
            return None, decoder.end()
        with self._lock:
            self._idle.append(decoder)
        return converted, None


class _Memory:
    """What all decoders together may use; one that needs more than there is waits until it is the only one."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._used = 0
        self._freed = threading.Condition()

    @contextmanager
    def taken(self, need: int) -> Iterator[None]:
        need = min(need, self.most)
        with self._freed:
            self._freed.wait_for(lambda: self._used + need <= self.most)
            self._used += need
        try:
            yield
        finally:
            with self._freed:
                self._used -= need
                self._freed.notify_all()

    @contextmanager
    def whole(self) -> "Iterator[_Memory]":
        """All of it, for one file."""
        with self.taken(self.most):
            yield _Memory(self.most)


class _Decoder:
    """One child process; it converts one picture at a time."""

    def __init__(self) -> None:
        context = _starting()
        self._connection, inner = context.Pipe()
        self._process: BaseProcess = context.Process(target=_serve, args=(inner, _convert), daemon=True)
        self._process.start()
        inner.close()  # so that the end of the process is the end of the pipe

    def convert(self, data: bytes, memory: _Memory) -> Converted:
        """The picture or why it has none. Raises EOFError or OSError when the process has ended."""
        self._connection.send_bytes(data)
        answer = self._connection.recv()
        if isinstance(answer, int):  # what it needs to go on
            with memory.taken(answer):
                self._connection.send(True)
                answer = self._connection.recv()
        return answer

    def end(self) -> int | None:
        """End the process, whatever it is doing; its exit code."""
        self._process.kill()
        self._process.join()
        return self._process.exitcode


def _starting() -> "ForkServerContext | SpawnContext":
    # Not fork, since the page has threads. The fork server starts once and imports the decoder once.
    if os.name == "nt":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", __name__])
    return context


def _serve(connection: Connection, converting: Callable[[bytes, Callable[[int], object]], Converted]) -> None:
    """The child process: convert what comes until the other end of the connection is closed, however that ended."""
    enter_sandbox()

    def wait_for_memory(pixels: int) -> None:
        connection.send(PROCESS_BYTES + PIXEL_BYTES * pixels)
        connection.recv()

    with suppress(EOFError, OSError):
        while True:
            connection.send(converting(connection.recv_bytes(), wait_for_memory))


def _convert(data: bytes, before_decoding: Callable[[int], object]) -> Converted:
    allow_time_for_a_file()
    try:
        return convert(data, before_decoding)
    except Unreadable as error:
        return error


def _is_done(waiting: _Waiting[T], should_stop: Callable[[], bool]) -> bool:
    """Whether the file is converted; waits until it is, or until `should_stop`."""
    future = waiting[2]
    while future is not None and not future.done():
        if should_stop():
            return False
        with suppress(NotYet):
            future.result(STOP_SECONDS)
    return True


def _result(waiting: _Waiting[T]) -> tuple[T, Converted | None]:
    file, _, future = waiting
    return file, None if future is None else future.result()


def _bytes_in(waiting: "deque[_Waiting[T]]") -> int:
    return sum(len(data) for _, data, _ in waiting if data is not None)


def _cores() -> int:
    """The number of cores that this process may use, which in a container are often fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
