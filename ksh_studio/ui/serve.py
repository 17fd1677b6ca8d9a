"""Runs the studio's server: at home, over a share link, or as a Space; one studio for each workspace."""

import argparse
import logging
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import gradio as gr
import httpx
from gradio import networking
from gradio.tunneling import CURRENT_TUNNELS
from starlette.middleware import Middleware

from ksh_studio.demo import demo_project
from ksh_studio.disk import locked
from ksh_studio.errors import StudioError
from ksh_studio.generation.worker.handle import Worker
from ksh_studio.jobs.queue import next_job, start_next_job
from ksh_studio.jobs.spawn import PROXIES
from ksh_studio.locales import Language, translate
from ksh_studio.project.workspace import Workspace
from ksh_studio.ui.access.roles import Mode
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.app import VERSIONS, build_app
from ksh_studio.ui.parts.languages import page_texts
from ksh_studio.ui.parts.theme import STYLES, theme
from ksh_studio.ui.server.changes import change_route
from ksh_studio.ui.server.compression import CompressedPage
from ksh_studio.ui.server.files import file_routes
from ksh_studio.ui.server.missing_event import EXCEPTION_HANDLERS
from ksh_studio.ui.server.shield import UPLOAD_BYTES, Shield
from ksh_studio.ui.server.startup import finish_startup
from ksh_studio.ui.server.uploads import upload_routes

# Variables by which gradio would silently change who can reach what; `launch` says outright what they would decide.
GRADIO_SWITCHES = (
    "GRADIO_SHARE",
    "GRADIO_ALLOWED_PATHS",
    "GRADIO_MCP_SERVER",
    "GRADIO_RUN_HISTORY",
    "GRADIO_NUM_WORKERS",
    "GRADIO_SSR_MODE",
    "GRADIO_DEBUG",
)
QUEUE_SECONDS = 3.0
"""Between two checks of the queue."""
log = logging.getLogger(__name__)


def serve(arguments: argparse.Namespace) -> Iterator[str]:
    """Run the studio until it is interrupted; yields the sentences to print.

    arguments: `workspace, language, share, password, port, no_browser` of the command line.
    Raises StudioError when another studio has this workspace open, the port cannot be opened, a proxy of the
    environment cannot be used, or gradio's vibe mode is on.
    """
    if os.environ.get("GRADIO_VIBE_MODE"):
        raise StudioError("access.vibe_mode")
    require_usable_proxies()
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
            threading.Thread(target=finish_startup, args=(studio, arguments.language), daemon=True).start()
            threading.Thread(target=start_waiting_jobs, args=(studio, closed), daemon=True).start()
            yield from _addresses(studio, local, shared, arguments.language)
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
        finally:
            closed.set()
            studio.worker.end()
            page.close(verbose=False)
            for tunnel in CURRENT_TUNNELS:
                tunnel.kill()


def start_waiting_jobs(studio: Studio, closed: threading.Event) -> None:
    """Start the jobs that wait, one after the other, until the studio is closed.

    A job that ends starts the next one itself; this starts those that wait after a job that was killed. The worker that
    generates pictures is ended first, since a job needs its memory; while it generates, the queue waits.
    """
    while not closed.wait(QUEUE_SECONDS):
        try:
            if not studio.worker.busy and next_job(studio.workspace) is not None:
                studio.worker.end()
                start_next_job(studio.workspace)
        except (OSError, StudioError) as error:  # the disk may be readable again at the next check
            log.warning("the queue: %s", error)


def launch(page: gr.Blocks, studio: Studio, port: int | None = None, browser: bool = False) -> tuple[str, str | None]:
    """Start the server; return its local address and, when sharing, the public one (None when no link came).

    Every choice that decides who can reach what is written out here. Raises StudioError when the port is in use, or may
    not be opened.
    """
    for name in GRADIO_SWITCHES:
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
            # gradio would ask for the page once more and end with a traceback when a busy machine takes three seconds
            _frontend=False,
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
                "middleware": [shield, Middleware(CompressedPage)],
                "routes": [*file_routes(studio), *upload_routes(studio), change_route(studio, VERSIONS)],
                "exception_handlers": EXCEPTION_HANDLERS,
                "docs_url": None,
                "redoc_url": None,
            },
            theme=theme(),
            css_paths=[STYLES],
        )
    except OSError as error:
        raise _no_port(port) from error
    return local, _open_tunnel(page) if studio.mode == "share" else None


def require_usable_proxies() -> None:
    """Raise StudioError when the environment names a proxy of a kind that nothing of the studio can use.

    Gradio and the Hub's library read these variables, and would end in a traceback: gradio before the page opens.
    """
    try:
        httpx.Client().close()
    except ValueError as error:
        names = sorted(name for name in os.environ if name.upper() in PROXIES and name.upper() != "NO_PROXY")
        raise StudioError("access.proxy", names=", ".join(names)) from error


def _no_port(port: int | None) -> StudioError:
    """Why the server could not open its port; gradio says the same whatever the reason."""
    if port is not None:
        try:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except PermissionError:
            return StudioError("access.port_forbidden", port=port)
        except OSError:
            pass
    return StudioError("access.port", port=port or 7860)


def _open_tunnel(page: gr.Blocks) -> str | None:
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
    except Exception:  # noqa: BLE001 - whatever goes wrong with the tunnel, the studio still works at home
        log.warning("no share link", exc_info=True)
        return None


def _mode(arguments: argparse.Namespace) -> Mode:
    if os.environ.get("SYSTEM") == "spaces":
        return "space"
    return "share" if arguments.share else "local"


def _space_hosts() -> tuple[str, ...]:
    return tuple(name.strip() for name in os.environ.get("SPACE_HOST", "").split(",") if name.strip())


def _passwords(mode: Mode, for_guests: str | None) -> tuple[tuple[str, str], ...]:
    """Account and password of the owner and of guests, for a share link only; made at random unless one is given."""
    if mode != "share":
        return ()
    return (("owner", secrets.token_urlsafe(16)), ("guest", for_guests or secrets.token_urlsafe(16)))


def _addresses(studio: Studio, local: str, shared: str | None, language: Language) -> Iterator[str]:
    """The sentences that say where the studio is open and with which passwords."""
    yield translate("access.address", language, url=local, folder=studio.workspace.root)
    if studio.mode != "share":
        return
    owner, guest = (password for _, password in studio.passwords)
    yield translate("access.owner_login", language, password=owner)
    if shared is None:
        yield translate("access.no_link", language)
    else:
        yield translate("access.link", language, url=shared, password=guest)
