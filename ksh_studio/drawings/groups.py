"""Files that an import takes in together: their copies are synced at once, and their drawings are one commit.

A sync and a commit for each drawing take three times as long as reading it.
"""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Self, TypeVar

from ksh_studio.disk import write_all
from ksh_studio.project.catalogue import NewDrawing

GROUP_FILES = 64
GROUP_BYTES = 64_000_000
GROUP_SECONDS = 1.0
"""A group is closed when it has one of these, so that progress shows with large drawings too."""

F = TypeVar("F")


@dataclass
class Group(Generic[F]):
    """Files whose drawings are written and committed together."""

    files: list[F] = field(default_factory=list)
    drawings: list[NewDrawing] = field(default_factory=list)
    """Those that the project does not have yet."""
    copies: dict[Path, bytes] = field(default_factory=dict)
    """What is to be written for the drawings."""
    began: float = field(default_factory=time.monotonic)

    @property
    def is_full(self) -> bool:
        """Whether it is time to write it."""
        if len(self.files) >= GROUP_FILES or time.monotonic() - self.began > GROUP_SECONDS:
            return True
        return sum(map(len, self.copies.values())) > GROUP_BYTES


class GroupWriter(Generic[F]):
    """Writes the copies of one group at a time, in a thread, while the next group is read. For a `with` block."""

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1, "import")
        self.group: Group[F] | None = None
        self.written: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.thread.shutdown()

    def exchange(self, group: Group[F]) -> Group[F] | None:
        """Begin to write this group; the one before it, whose copies are on disk by now. Raises as `write_all` does."""
        before = self.finish()
        self.group, self.written = group, self.thread.submit(write_all, group.copies)
        return before

    def finish(self) -> Group[F] | None:
        """The last group, once its copies are on disk; None when there is none."""
        group, self.group = self.group, None
        if self.written is not None:
            self.written.result()
            self.written = None
        return group
