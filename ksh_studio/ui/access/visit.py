"""Who sends a request, by its address, account and cookie; what they may do stands in `roles.py`.

The owner sits at the machine itself. Over a share link everybody is a guest, whatever password was given: nobody may
name a server path or a model id, delete, change settings or train from afar. On a Space each visitor has a workspace of
their own, found by a secret cookie, and shares only the machine.
"""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from starlette.requests import Request

from ksh_studio.errors import StudioError
from ksh_studio.locales import Language
from ksh_studio.project.workspace import Project, Workspace
from ksh_studio.ui.access.roles import ALLOWED, Action, Role
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.parts.languages import language_of

VISITOR_COOKIE = "ksh_visitor"
VISITOR_PATTERN = re.compile(r"[A-Za-z0-9_-]{43}")
LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")
VISITOR_PROJECTS = 5


class LoginRequired(StudioError):
    """Nobody is logged in where an account is needed."""


@dataclass(frozen=True)
class Visit:
    """One request: who sends it, in which language, and which workspace is theirs."""

    studio: Studio
    role: Role
    language: Language
    workspace: Workspace
    key: str
    """Tells one visitor from another; never shown."""
    query: dict[str, str] = field(default_factory=dict)
    """What the page's address asks for: `project`, `tab`."""
    guest: str = ""
    """Tells what one guest keeps in a project from what others keep; empty: whoever comes has a workspace of theirs."""

    def may(self, action: Action) -> bool:
        """Whether this visitor may do it."""
        return self.role in ALLOWED[action]

    def need(self, action: Action) -> None:
        """Raises StudioError when this visitor may not do it."""
        if not self.may(action):
            raise StudioError("access.space" if self.role == "visitor" else "access.guest")

    def project(self, slug: str | None) -> Project:
        """The visitor's project of this slug. Raises StudioError when it is not theirs."""
        return self.workspace.project(slug if isinstance(slug, str) else "")


def visit_of(studio: Studio, request: gr.Request | Request) -> Visit:
    """Who sends this request.

    Raises StudioError for somebody who should have logged in, or on a Space has no visitor's cookie.
    """
    language, query = language_of(request), {key: str(value) for key, value in dict(request.query_params or {}).items()}
    if studio.mode == "local":
        return Visit(studio, "owner", language, studio.workspace, "owner", query)
    if studio.mode == "share":
        name = _account(request)
        if name not in dict(studio.passwords):
            raise LoginRequired("access.login")
        role: Role = "owner" if name == "owner" and _is_at_home(request) else "guest"
        guest = _guest(request) if role == "guest" else ""
        return Visit(studio, role, language, studio.workspace, f"{role}:{_client(request)}", query, guest)
    cookie = _cookies(request).get(VISITOR_COOKIE, "")
    if not VISITOR_PATTERN.fullmatch(cookie):
        raise StudioError("access.cookie")
    name = hashlib.sha256(cookie.encode()).hexdigest()
    return Visit(studio, "visitor", language, visitor_workspace(studio.workspace, name), name, query)


def visitor_workspace(workspace: Workspace, name: str) -> Workspace:
    """The workspace of the visitor whose cookie has this SHA-256."""
    return Workspace(workspace.visitors / name[:40])


def _account(request: gr.Request | Request) -> str | None:
    """The logged-in account by gradio's own session tokens: a request that it hands to a handler, or a plain one."""
    if isinstance(request, gr.Request):
        return request.username
    app, cookies = request.app, _cookies(request)
    token = cookies.get(f"access-token-{app.cookie_id}") or cookies.get(f"access-token-unsecure-{app.cookie_id}")
    return app.tokens.get(token)


def _guest(request: gr.Request | Request) -> str:
    """Tells one login of gradio's from another, by its cookies; one browser is one guest until it logs in again."""
    logins = sorted(f"{name}={value}" for name, value in _cookies(request).items() if name.startswith("access-token-"))
    return f"guest-{hashlib.sha256(' '.join(logins).encode()).hexdigest()[:16]}"


def _cookies(request: gr.Request | Request) -> dict[str, Any]:
    return dict(request.cookies or {})


def _is_at_home(request: gr.Request | Request) -> bool:
    """Whether the request came to this machine's own address and not through the tunnel, which keeps its Host."""
    headers = dict(request.headers)
    host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    through_proxy = any(name in headers for name in ("x-forwarded-for", "x-forwarded-host", "forwarded", "x-real-ip"))
    return not through_proxy and (host in LOCAL_HOSTS or host == "::1")


def _client(request: gr.Request | Request) -> str:
    return str(getattr(request, "session_hash", None) or "")
