"""Converts pictures in child processes, several at a time: a hostile file can end only the process that reads it."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Generic, TypeVar

from ksh_studio.drawings.pixels import ConvertedPicture, Unreadable, convert

MOST_PROCESSES = 8
MEMORY_BYTES = 4 << 30
SECONDS_A_FILE = 60
HELD_BYTES = 400_000_000
"""The most bytes of files that are in memory while they wait to be converted."""

T = TypeVar("T")
Converted = ConvertedPicture | Unreadable
_Waiting = tuple[T, bytes | None, Future[Converted] | None]


class Decoders(Generic[T]):
    """A pool of child processes that convert pictures, with limits of memory and time.

    Used as `with Decoders() as decoders: for file, converted in decoders.convert(files)`.
    """

    def __init__(self, processes: int | None = None) -> None:
        self.processes = processes or min(MOST_PROCESSES, _cores())
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Decoders[T]":
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def convert(self, files: Iterable[tuple[T, bytes | None]]) -> Iterator[tuple[T, Converted | None]]:
        """Yield each file, in the given order, with its converted picture or the reason why it has none.

        Only a few files are in memory at a time. A file given without bytes is yielded in its place with None.
        """
        waiting: deque[_Waiting[T]] = deque()
        for file, data in files:
            waiting.append((file, data, self._submit(data) if data is not None else None))
            while waiting and (len(waiting) > 2 * self.processes or _bytes_in(waiting) > HELD_BYTES):
                yield self._next(waiting)
        while waiting:
            yield self._next(waiting)

    def _next(self, waiting: "deque[_Waiting[T]]") -> tuple[T, Converted | None]:
        file, data, future = waiting.popleft()
        if data is None:
            return file, None
        try:
            converted = future.result() if future else self._alone(data)
        except BrokenProcessPool:  # this file ended it, or another that was converted at the same time
            self._close()
            converted = self._alone(data)
        return file, converted

    def _submit(self, data: bytes) -> "Future[Converted] | None":
        if self._pool is None:
            self._pool = _pool(self.processes)
        try:
            return self._pool.submit(_convert, data)
        except BrokenProcessPool:
            self._close()
            return None  # `_next` converts it in a process of its own

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _alone(self, data: bytes) -> Converted:
        with _pool(1) as pool:
            try:
                return pool.submit(_convert, data).result()
            except BrokenProcessPool:
                return Unreadable("import.reason_crashed")


def _bytes_in(waiting: "deque[_Waiting[T]]") -> int:
    return sum(len(data) for _, data, _ in waiting if data is not None)


def _cores() -> int:
    """The number of cores that this process may use, which in a container are often fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pool(processes: int) -> ProcessPoolExecutor:
    # Not fork, since the page has threads. The fork server starts once and imports the decoder once.
    ways = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in ways else "spawn")
    if "forkserver" in ways:
        context.set_forkserver_preload(["__main__", convert.__module__])
    return ProcessPoolExecutor(processes, context, initializer=_prepare)


def _prepare() -> None:
    """What each process of the pool does first."""
    _limit_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that it works for ends, however that ends: nothing else would tell it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _limit_memory() -> None:
    if os.name == "nt":
        return
    import resource

    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES if hard < 0 else min(MEMORY_BYTES, hard), hard))


def _limit_time() -> None:
    """Let the system end this process when the next file takes longer than SECONDS_A_FILE of processor time."""
    if os.name == "nt":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = int(used.ru_utime + used.ru_stime) + SECONDS_A_FILE
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard < 0 else min(soft, hard), hard))


def _convert(data: bytes) -> Converted:
    _limit_time()
    try:
        return convert(data)
    except Unreadable as error:
        return error
