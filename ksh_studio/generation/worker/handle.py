"""The page's handle of the resident process that draws: started at the first picture, keeps the model loaded.

One JSON request a line goes in, event lines come out, the last of a request is Finished, Stopped or Failed. The page
never imports torch, and a crash in a kernel ends the process, not the page.
"""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ksh_studio.config import GenerateConfig
from ksh_studio.disk import disk_errors
from ksh_studio.errors import StudioError
from ksh_studio.events import Event, Failed, Final, from_line
from ksh_studio.jobs.spawn import spawn
from ksh_studio.project.workspace import Project, Workspace

END_SECONDS = 5.0


class Worker:
    """At most one drawing process of a workspace; requests are served one after the other."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._process: subprocess.Popen | None = None
        self._busy = threading.Lock()
        self._attention = ""

    @property
    def running(self) -> bool:
        """Whether the process lives, and so holds the model and the device."""
        return self._process is not None and self._process.poll() is None

    @property
    def busy(self) -> bool:
        """Whether a picture is being drawn."""
        return self._busy.locked()

    def generate(self, config: GenerateConfig, project: Project) -> Iterator[Event]:
        """Draw; yields what the process says. A process that dies becomes a Failed event.

        Raises StudioError when a picture is already being drawn.
        """
        if not self._busy.acquire(blocking=False):
            raise StudioError("device.drawing")
        ended = False
        try:
            if config.attention != self._attention:  # decided once in the life of a process: `Loaded.base`
                self.end()
                self._attention = config.attention
            process = self._start()
            request = {"workspace": str(project.workspace.root), "project": project.slug}
            request |= {"config": config.model_dump(mode="json")}
            self._send(process, request)
            for event in self._events(process):
                ended = isinstance(event, Final)
                yield event
                if ended:
                    return
            yield Failed.saying("device.worker_died", log=self.log)
            ended = True
        finally:
            if not ended:  # the visitor left: what was asked for is no longer wanted, and the next request starts clean
                self.end()
            self._busy.release()

    def interrupt(self) -> None:
        """Ask the picture being drawn to end after its current step."""
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
            process.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if not self.busy:  # else whoever reads it comes to its end, and says so
            process.stdout.close()

    @property
    def log(self) -> Path:
        """What the process printed besides events."""
        return self.workspace.root / "worker.log"

    def _start(self) -> subprocess.Popen:
        if self.running and self._process is not None:
            return self._process
        with disk_errors(self.log), self.log.open("wb") as log:
            self._process = spawn(
                ["worker", str(self.workspace.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        return self._process

    @staticmethod
    def _send(process: subprocess.Popen, request: dict) -> None:
        with suppress(BrokenPipeError, ValueError):  # it died: its silent end is reported by `generate`
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()

    @staticmethod
    def _events(process: subprocess.Popen) -> Iterator[Event]:
        for line in process.stdout:
            event = from_line(line)
            if event is not None:
                yield event
