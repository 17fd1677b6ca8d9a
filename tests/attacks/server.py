"""A page served in this process as over a share link or as a Space, and raw calls against it."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import httpx

from ksh_studio.generation.worker.handle import Worker
from ksh_studio.project.workspace import Workspace
from ksh_studio.ui.access.roles import Mode
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.app import build_app
from ksh_studio.ui.serve import launch

PUBLIC_HOST = "0123456789.gradio.live"
PASSWORDS = (("owner", "owner-secret"), ("guest", "guest-secret"))


@contextmanager
def served(workspace: Workspace, mode: Mode) -> Iterator[tuple[gr.Blocks, str]]:
    """The page and its address, without a tunnel."""
    studio = Studio(workspace, mode, Worker(workspace), PASSWORDS if mode == "share" else ())
    page = build_app(studio)
    address, _ = launch(page, studio)
    try:
        yield page, address.rstrip("/")
    finally:
        page.close(verbose=False)


def visitor(address: str, account: str | None = None, host: str = PUBLIC_HOST) -> httpx.Client:
    """A client from another machine, who comes through the tunnel with its Host; logged in when `account` is given."""
    client = httpx.Client(base_url=address, headers={"Host": host}, timeout=60)
    if account is not None:
        reply = client.post("/login", data={"username": account, "password": dict(PASSWORDS)[account]})
        assert reply.status_code == 200, reply.text
        for name, value in [part.split(";")[0].split("=", 1) for part in reply.headers.get_list("set-cookie")]:
            client.cookies.set(name, value)
    return client


def call(client: httpx.Client, page: gr.Blocks, number: int, values: list[Any]) -> tuple[bool, str]:
    """Call the event `number` as a script without our page would: whether it succeeded, and the answer."""
    body = {"data": values, "fn_index": number, "session_hash": secrets.token_hex(5)}
    if not page.fns[number].queue:
        reply = client.post("/gradio_api/run/predict", json=body)
        return reply.status_code == 200, reply.text
    reply = client.post("/gradio_api/queue/join", json=body)
    if reply.status_code != 200:
        return False, reply.text
    with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": body["session_hash"]}) as stream:
        for line in stream.iter_lines():
            if "process_completed" in line:
                event = json.loads(line.removeprefix("data:"))
                return bool(event["success"]), line
    return False, "the stream ended"


def ask(client: httpx.Client, page: gr.Blocks, name: str, data: Any) -> dict[str, Any] | None:
    """Call a server function of the grid; None when it was refused before it began."""
    grid = next(block for block in page.blocks.values() if getattr(block, "elem_id", "") == "caption-grid")
    body = {"session_hash": "x", "component_id": grid._id, "fn_name": name, "data": data}
    reply = client.post("/gradio_api/component_server", json=body)
    return reply.json() if reply.status_code == 200 else None


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of everything below `root` that matters: gradio's cache and lock files left out."""
    return {
        path.relative_to(root).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file() and "cache" not in path.relative_to(root).parts[:1] and path.suffix not in (".lock",)
        and not path.name.endswith(("-wal", "-shm"))
    }  # fmt: skip
