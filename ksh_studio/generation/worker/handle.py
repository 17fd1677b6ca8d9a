"""Starts the worker process, which makes pictures for the page, and sends requests to it.

The process starts at the first request and keeps the model loaded. Requests go to it as lines of JSON, and events come
back; the last event of a request is Finished, Stopped or Failed. The page need not import torch, and a crash in native
code ends the worker process only.
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
from ksh_studio.jobs.tokens import tokens_for
from ksh_studio.project.workspace import Project, Workspace

END_SECONDS = 5.0


@dataclass(frozen=True)
class _Process:
    """A running worker process and its two pipes."""

    popen: "subprocess.Popen[bytes]"
    stdin: IO[bytes]
    stdout: IO[bytes]


class Worker:
    """The worker process of a workspace, of which there is at most one; it serves one request at a time."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._process: _Process | None = None
        self._busy = threading.Lock()
        self._attention = ""
        self._tokens: dict[str, str] = {}

    @property
    def running(self) -> bool:
        """Whether the process is running; it may then have the model in memory and use the device."""
        return self._process is not None and self._process.popen.poll() is None

    @property
    def busy(self) -> bool:
        """Whether a request is being served."""
        return self._busy.locked()

    def generate(self, config: GenerateConfig, project: Project) -> Iterator[Event]:
        """Make pictures; yield the events of the process, and Failed when it ends before the request does.

        Raises StudioError when another request is being served.
        """
        if not self._busy.acquire(blocking=False):
            raise StudioError("device.drawing")
        ended = False
        try:
            if config.attention != self._attention:  # a process decides it once: `LoadedModels.base`
                self.end()
                self._attention = config.attention
            tokens = tokens_for({"base_model": config.base_model or project.settings().base_model})
            if tokens and tokens != self._tokens:  # a process that was started without them cannot get them any more
                self.end()
                self._tokens = tokens
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
            if not ended:  # the caller reads no further: without this the next request would get these events
                self.end()
            self._busy.release()

    def interrupt(self) -> None:
        """Let the request that is being served stop after its current step."""
        if self.running and self._process is not None:
            self._send(self._process, {"interrupt": True})

    def end(self) -> None:
        """End the process and free the device."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(OSError):  # the pipe is closed when the process has ended by itself
            process.stdin.close()
        try:
            process.popen.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            process.popen.kill()
            process.popen.wait()
        if not self.busy:  # otherwise `generate` reads it to the end and yields Failed
            process.stdout.close()

    @property
    def log(self) -> Path:
        """The file with everything that the process prints besides events."""
        return self.workspace.root / "worker.log"

    def _start(self) -> _Process:
        if self.running and self._process is not None:
            return self._process
        with disk_errors(self.log), self.log.open("wb") as log:
            arguments = ["worker", str(self.workspace.root)]
            popen = spawn(
                arguments,
                extra_environment=self._tokens,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        if popen.stdin is None or popen.stdout is None:
            raise ValueError("a worker process has two pipes")
        self._process = _Process(popen, popen.stdin, popen.stdout)
        return self._process

    @staticmethod
    def _send(process: _Process, message: dict[str, Any]) -> None:
        with suppress(BrokenPipeError, ValueError):  # when the process has ended, `generate` yields Failed
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()

    @staticmethod
    def _events(process: _Process) -> Iterator[Event]:
        for line in process.stdout:
            event = from_line(line)
            if event is not None:
                yield event
