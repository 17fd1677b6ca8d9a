"""The worker process: makes pictures for the page, and keeps the model and the LoRA loaded between two requests.

It reads one JSON message a line: a request `{"workspace": folder, "project": slug, "config": {...}}`, or
`{"interrupt": true}`, which ends the request being served after its current step. It writes events, one a line; the
last of each request is Finished, Stopped or Failed.
"""

import json
import queue
import threading
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ksh_studio.config import GenerateConfig
from ksh_studio.disk import any_disk_errors
from ksh_studio.errors import StudioError, validated
from ksh_studio.events import Event, Failed, to_line
from ksh_studio.generation.loaded import LoadedModels
from ksh_studio.generation.stage import generate
from ksh_studio.jobs.start import own_device
from ksh_studio.project.workspace import Workspace


@dataclass(frozen=True)
class _Request:
    """A request as it was received, and whether it has been cancelled."""

    message: dict[str, Any]
    cancelled: threading.Event


def serve(lines_in: BinaryIO, lines_out: BinaryIO, workspace: Workspace) -> None:
    """Serve requests until `lines_in` ends; a request that fails does not end the process."""
    requests: queue.Queue[_Request | None] = queue.Queue()
    threading.Thread(target=_read, args=(lines_in, requests), daemon=True).start()
    models = LoadedModels()
    while (request := requests.get()) is not None:
        for event in _serve_request(request, workspace, models):
            lines_out.write(to_line(event))
            lines_out.flush()
        request.cancelled.set()


def _read(lines_in: BinaryIO, requests: "queue.Queue[_Request | None]") -> None:
    """Queue the requests; an interrupt cancels at once those that came before it, and none that come later."""
    open_requests: list[_Request] = []
    for line in lines_in:
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        message = message if isinstance(message, dict) else {}
        if message.get("interrupt"):
            _cancel(open_requests)
            open_requests.clear()
        else:
            request = _Request(message, threading.Event())
            open_requests = [*(one for one in open_requests if not one.cancelled.is_set()), request]
            requests.put(request)
    _cancel(open_requests)  # the page has closed the pipe
    requests.put(None)


def _cancel(requests: list[_Request]) -> None:
    for request in requests:
        request.cancelled.set()


def _serve_request(request: _Request, workspace: Workspace, models: LoadedModels) -> Iterator[Event]:
    try:
        # a request on a Space names the visitor's workspace
        home = Workspace(Path(request.message.get("workspace") or workspace.root))
        project = home.project(str(request.message.get("project", "")))
        config = validated(GenerateConfig, request.message.get("config") or {})
        with any_disk_errors(home.root), own_device(workspace):
            yield from generate(config, project, request.cancelled.is_set, models)
    except StudioError as error:
        yield Failed.of(error.sentence)
    except Exception:  # noqa: BLE001 - the process outlives the request; the traceback goes to its log
        with suppress(OSError):  # a full disk has no room for the log either
            traceback.print_exc()
        yield Failed.saying("generate.crashed", log=workspace.root / "worker.log")
