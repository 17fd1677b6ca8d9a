"""The page's side of the worker process, which makes pictures: started at the first one, it keeps the model loaded.

Requests go to the process as lines of JSON, events come back; the last event of a request is Finished, Stopped or
Failed. So the page never imports torch, and a crash in a kernel ends the process, not the page.
"""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ksh_studio.config import GenerateConfig
from ksh_studio.disk import disk_errors
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Failed, Final, from_line
from ksh_studio.jobs.spawn import spawn
from ksh_studio.project.workspace import Project, Workspace

END_SECONDS = 5.0


@dataclass(frozen=True)
class _Process:
    """A running worker process and its two pipes."""

    popen: "subprocess.Popen[bytes]"
    stdin: IO[bytes]
    stdout: IO[bytes]


class Worker:
    """At most one worker process for a workspace; requests are served one after the other."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._process: _Process | None = None
        self._busy = threading.Lock()
        self._attention = ""

    @property
    def running(self) -> bool:
        """Whether there is a process, which then has the model in memory and uses the device."""
        return self._process is not None and self._process.popen.poll() is None

    @property
    def busy(self) -> bool:
        """Whether a request is being served."""
        return self._busy.locked()

    def generate(self, config: GenerateConfig, project: Project) -> Iterator[Event]:
        """Make pictures; yields the events of the process, and Failed when the process ends without a last event.

        Raises StudioError when another request is being served.
        """
        if not self._busy.acquire(blocking=False):
            raise StudioError("device.drawing")
        ended = False
        try:
            if config.attention != self._attention:  # a process decides it once: `LoadedModels.base`
                self.end()
                self._attention = config.attention
            process = self._start()
            request = {
                "workspace": str(project.workspace.root),
                "project": project.slug,
                "config": config.model_dump(mode="json"),
            }
            self._send(process, request)
            for event in self._events(process):
                ended = isinstance(event, Final)
                yield event
                if ended:
                    return
            yield Failed.saying("device.worker_died", log=self.log)
            ended = True
        finally:
            if not ended:  # the visitor left: nobody wants the pictures any more, and the next request starts clean
                self.end()
            self._busy.release()

    def interrupt(self) -> None:
        """Ask the request that is being served to end after its current step."""
        if self.running and self._process is not None:
            self._send(self._process, {"interrupt": True})

    def end(self) -> None:
        """End the process and free the device."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(OSError):  # its pipe may be gone already: it ended by itself
            process.stdin.close()
        try:
            process.popen.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            process.popen.kill()
            process.popen.wait()
        if not self.busy:  # else `generate` reads to its end, and reports that
            process.stdout.close()

    @property
    def log(self) -> Path:
        """File with everything that the process prints besides events."""
        return self.workspace.root / "worker.log"

    def _start(self) -> _Process:
        if self.running and self._process is not None:
            return self._process
        with disk_errors(self.log), self.log.open("wb") as log:
            popen = spawn(
                ["worker", str(self.workspace.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        if popen.stdin is None or popen.stdout is None:
            raise ValueError("a worker process has two pipes")
        self._process = _Process(popen, popen.stdin, popen.stdout)
        return self._process

    @staticmethod
    def _send(process: _Process, message: dict[str, Any]) -> None:
        with suppress(BrokenPipeError, ValueError):  # it has ended: `generate` reports that
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()

    @staticmethod
    def _events(process: _Process) -> Iterator[Event]:
        for line in process.stdout:
            event = from_line(line)
            if event is not None:
                yield event
