"""Open the studio: at home, over a share link, or as a Space; one studio a workspace."""

import argparse
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import gradio as gr
from gradio import networking
from gradio.tunneling import CURRENT_TUNNELS
from starlette.middleware import Middleware

from ksh_studio.demo import demo_project
from ksh_studio.disk import locked
from ksh_studio.errors import StudioError
from ksh_studio.generation.worker.handle import Worker
from ksh_studio.jobs.queue import next_job, start_next_job
from ksh_studio.locales import Language, translate
from ksh_studio.project.workspace import Workspace
from ksh_studio.ui.access.roles import Mode
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.app import build_app
from ksh_studio.ui.parts.languages import page_texts
from ksh_studio.ui.parts.theme import STYLES, theme
from ksh_studio.ui.server.files import routes
from ksh_studio.ui.server.missing_event import HANDLERS
from ksh_studio.ui.server.shield import UPLOAD_BYTES, Shield
from ksh_studio.ui.server.startup import prepare

# Switches of gradio that would silently change what is open to whom; what we want of them is said in `launch` below.
SWITCHES = ("GRADIO_SHARE", "GRADIO_ALLOWED_PATHS", "GRADIO_MCP_SERVER", "GRADIO_RUN_HISTORY", "GRADIO_NUM_WORKERS",
            "GRADIO_SSR_MODE", "GRADIO_DEBUG")  # fmt: skip
QUEUE_SECONDS = 3.0
"""Between two looks at the queue."""
log = logging.getLogger(__name__)


def serve(arguments: argparse.Namespace) -> Iterator[str]:
    """Run the studio until interrupted; yields the sentences to print.

    arguments: `workspace, language, share, password, port, no_browser` of the command line.
    Raises StudioError for a second studio on the same workspace, a port in use, and gradio's vibe mode.
    """
    if os.environ.get("GRADIO_VIBE_MODE"):
        raise StudioError("access.vibe_mode")
    workspace = Workspace(arguments.workspace)
    workspace.prepare()
    mode = _mode(arguments)
    with locked(workspace.studio_lock, "access.second_studio", folder=workspace.root):
        demo_project(workspace, arguments.language)
        studio = Studio(workspace, mode, Worker(workspace), _passwords(mode, arguments.password))
        page = build_app(studio)
        closed = threading.Event()
        try:
            local, shared = launch(page, studio, arguments.port, browser=not arguments.no_browser)
            threading.Thread(target=prepare, args=(studio, arguments.language), daemon=True).start()
            threading.Thread(target=keep_queue, args=(studio, closed), daemon=True).start()
            yield from _addresses(studio, local, shared, arguments.language)
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
        finally:
            closed.set()
            studio.worker.end()
            page.close(verbose=False)
            for tunnel in CURRENT_TUNNELS:
                tunnel.kill()


def keep_queue(studio: Studio, closed: threading.Event) -> None:
    """Start the jobs that wait, also where the process before them was killed; the one that draws makes room."""
    while not closed.wait(QUEUE_SECONDS):
        try:
            if not studio.worker.busy and next_job(studio.workspace) is not None:
                studio.worker.end()
                start_next_job(studio.workspace)
        except (OSError, StudioError) as error:  # the disk may be readable again by the next look
            log.warning("the queue: %s", error)


def launch(page: gr.Blocks, studio: Studio, port: int | None = None, browser: bool = False) -> tuple[str, str | None]:
    """Start the server and return its own address and, when sharing, the public one (None: no link came).

    Every choice that decides what is open to whom is written out here. Raises StudioError when the port is in use.
    """
    for name in SWITCHES:
        os.environ.pop(name, None)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = str(studio.workspace.cache / "uploads")
    shield = Middleware(Shield, mode=studio.mode, hosts=_space_hosts())
    try:
        _, local, _ = page.launch(
            server_name="0.0.0.0" if studio.mode == "space" else "127.0.0.1",  # noqa: S104 - a Space's own container
            server_port=port,
            share=False,
            auth=list(studio.passwords) or None,
            inbrowser=browser and studio.mode != "space",
            prevent_thread_lock=True,
            quiet=True,
            show_error=False,
            allowed_paths=[],
            max_file_size=UPLOAD_BYTES[studio.mode],
            ssr_mode=False,
            run_history=False,
            enable_monitoring=False,
            mcp_server=False,
            pwa=False,
            num_workers=0,
            footer_links=["settings"],
            i18n=page_texts(),
            app_kwargs={
                "middleware": [shield],
                "routes": routes(studio),
                "exception_handlers": HANDLERS,
                "docs_url": None,
                "redoc_url": None,
            },
            **_look(),
        )
    except OSError as error:
        raise StudioError("access.port", port=port or 7860) from error
    return local, _tunnel(page) if studio.mode == "share" else None


def _tunnel(page: gr.Blocks) -> str | None:
    """Open gradio's tunnel to the running page and return its address; None when no link came.

    `launch(share=True)` is not used: it would serve a page whose scripts come from another host, which the content
    policy rightly blocks.
    """
    try:
        return networking.setup_tunnel(
            local_host="127.0.0.1",
            local_port=page.server_port,
            share_token=page.share_token,
            share_server_address=None,
            share_server_tls_certificate=None,
        )
    except Exception:  # noqa: BLE001 - whatever the tunnel's binary or server says: the studio works at home all the same
        log.warning("no share link", exc_info=True)
        return None


def _look() -> dict[str, Any]:
    return {"theme": theme(), "css_paths": [STYLES]}


def _mode(arguments: argparse.Namespace) -> Mode:
    if os.environ.get("SYSTEM") == "spaces":
        return "space"
    return "share" if arguments.share else "local"


def _space_hosts() -> tuple[str, ...]:
    return tuple(name.strip() for name in os.environ.get("SPACE_HOST", "").split(",") if name.strip())


def _passwords(mode: Mode, given: str | None) -> tuple[tuple[str, str], ...]:
    if mode != "share":
        return ()
    return (("owner", secrets.token_urlsafe(16)), ("guest", given or secrets.token_urlsafe(16)))


def _addresses(studio: Studio, local: str, shared: str | None, language: Language) -> Iterator[str]:
    yield translate("access.address", language, url=local, folder=studio.workspace.root)
    if studio.mode != "share":
        return
    owner, guest = (password for _, password in studio.passwords)
    yield translate("access.owner_login", language, password=owner)
    if shared is None:
        yield translate("access.no_link", language)
    else:
        yield translate("access.link", language, url=shared, password=guest)
