"""The process that draws for the page: the model and the LoRA stay loaded from one request to the next.

One JSON line in is a request `{"workspace": folder, "project": slug, "config": {...}}`, or `{"interrupt": true}`, which
ends the request being served after its current step. Event lines go out; each request ends with Finished, Stopped or
Failed.
"""

import json
import queue
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ksh_studio.config import GenerateConfig
from ksh_studio.errors import StudioError, validated
from ksh_studio.events import Event, Failed, to_line
from ksh_studio.generation.loaded import Loaded
from ksh_studio.generation.stage import generate
from ksh_studio.jobs.start import own_device
from ksh_studio.project.workspace import Workspace


@dataclass(frozen=True)
class _Request:
    """One line that came in, and whether its sender no longer wants it."""

    said: dict[str, Any]
    dropped: threading.Event


def serve(lines_in: BinaryIO, lines_out: BinaryIO, workspace: Workspace) -> None:
    """Serve requests until `lines_in` ends; a request that fails does not end the process."""
    requests: queue.Queue[_Request | None] = queue.Queue()
    threading.Thread(target=_read, args=(lines_in, requests), daemon=True).start()
    loaded = Loaded()
    while (request := requests.get()) is not None:
        for event in _served(request, workspace, loaded):
            lines_out.write(to_line(event))
            lines_out.flush()
        request.dropped.set()


def _read(lines_in: BinaryIO, requests: "queue.Queue[_Request | None]") -> None:
    """Sort what comes in: an interrupt acts at once, on what was asked before it and on nothing after."""
    before: list[_Request] = []
    for line in lines_in:
        try:
            said = json.loads(line)
        except ValueError:
            said = None
        said = said if isinstance(said, dict) else {}
        if said.get("interrupt"):
            _drop(before)
            before.clear()
        else:
            request = _Request(said, threading.Event())
            before = [*(old for old in before if not old.dropped.is_set()), request]
            requests.put(request)
    _drop(before)  # nobody listens any more
    requests.put(None)


def _drop(requests: list[_Request]) -> None:
    for request in requests:
        request.dropped.set()


def _served(request: _Request, workspace: Workspace, loaded: Loaded) -> Iterator[Event]:
    try:
        home = Workspace(Path(request.said.get("workspace") or workspace.root))  # on a Space, a visitor's own
        project = home.project(str(request.said.get("project", "")))
        config = validated(GenerateConfig, request.said.get("config") or {})
        with own_device(workspace):
            yield from generate(config, project, request.dropped.is_set, loaded)
    except StudioError as error:
        yield Failed.of(error.sentence)
    except Exception:  # noqa: BLE001 - the process outlives the request; the traceback goes to its log
        traceback.print_exc()
        yield Failed.saying("generate.crashed", log=workspace.root / "worker.log")
