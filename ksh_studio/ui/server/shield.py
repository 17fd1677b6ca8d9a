"""Middleware in front of the page: refuses foreign hosts and origins, oversized bodies and password guessing.

Plain ASGI, so that streams pass untouched. `assets/docs/safety.md` lists what it keeps out.
"""

import ipaddress
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ksh_studio.locales import sentence
from ksh_studio.ui.access.roles import Mode
from ksh_studio.ui.access.visit import LOCAL_HOSTS, VISITOR_COOKIE, VISITOR_PATTERN
from ksh_studio.ui.server.refusals import refusal

MEGABYTE = 1_000_000
JSON_BYTES = 2 * MEGABYTE
UPLOAD_BYTES: dict[Mode, int] = {"local": 8000 * MEGABYTE, "share": 30 * MEGABYTE, "space": 200 * MEGABYTE}
UPLOAD_BYTES_PER_HOUR = 2000 * MEGABYTE
"""For all uploads together that come over a share link or to a Space, so that nobody fills the disk."""
HOUR = 3600.0
"""Seconds."""
LOGIN_TRIES = 5
"""Wrong passwords in a row before the first wait."""
LOGIN_WAIT_SECONDS = 60.0
MAX_LOGIN_CLIENTS = 10_000
"""When so many clients have given wrong passwords, all are forgotten, so that the list cannot fill the memory."""
CONTENT_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; script-src-attr 'none'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; frame-ancestors 'self'"
)


@dataclass
class LoginThrottle:
    """Slows down password guessing: after five wrong ones in a row the next try waits a minute, then two, then four."""

    failures: dict[str, tuple[int, float]] = field(default_factory=dict)
    """By client: how many wrong passwords in a row, and the monotonic second of the last one."""

    def wait(self, client: str) -> float:
        """Seconds until the client may try again; 0 means now."""
        count, last = self.failures.get(client, (0, 0.0))
        if count < LOGIN_TRIES:
            return 0.0
        return max(0.0, last + LOGIN_WAIT_SECONDS * 2 ** min(count - LOGIN_TRIES, 10) - time.monotonic())

    def failed(self, client: str) -> None:
        """Count a wrong password."""
        if len(self.failures) >= MAX_LOGIN_CLIENTS:
            self.failures.clear()
        self.failures[client] = (self.failures.get(client, (0, 0.0))[0] + 1, time.monotonic())

    def succeeded(self, client: str) -> None:
        """Forget the client's wrong passwords after the right one."""
        self.failures.pop(client, None)


@dataclass
class UploadAllowance:
    """Limits the bytes that are uploaded within an hour, by all clients together."""

    limit: int
    """Bytes an hour."""
    uploads: deque[tuple[float, int]] = field(default_factory=deque)
    """The uploads of the last hour: monotonic second and bytes of each."""

    def allows(self, size: int) -> bool:
        """Whether `size` more bytes are within the limit."""
        while self.uploads and self.uploads[0][0] < time.monotonic() - HOUR:
            self.uploads.popleft()
        return sum(uploaded for _, uploaded in self.uploads) + size <= self.limit

    def add(self, size: int) -> None:
        """Count an upload of `size` bytes."""
        self.uploads.append((time.monotonic(), size))


class Shield:
    """ASGI middleware, one for each server. `hosts`: the names that the server answers to besides the machine's own."""

    def __init__(self, app: ASGIApp, mode: Mode = "local", hosts: tuple[str, ...] = ()) -> None:
        self.app = app
        self.mode = mode
        self.hosts = hosts
        self.throttle = LoginThrottle()
        self.uploads = UploadAllowance(UPLOAD_BYTES_PER_HOUR)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 400, 403, 413 or 429, or pass the request on and add the safety headers to the page's answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        cookie = self._new_visitor_cookie(scope, headers)
        client = _client_of(scope, headers)
        uploaded = self._remote_upload_bytes(headers)

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(MutableHeaders(scope=message), self.mode, cookie)
                if message["status"] == 200 and uploaded:
                    self.uploads.add(uploaded)
                if _is_login(scope):
                    (self.throttle.succeeded if message["status"] == 200 else self.throttle.failed)(client)
            await send(message)

        await self.app(scope, _limit_body(receive, self._body_limit(headers)), send_on)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a request that must not reach the page; None when it may."""
        request, host = Request(scope), headers.get("host", "")
        if not self._answers_to(host):
            return refusal(request, sentence("access.unknown_host"), 400)
        if scope["method"] not in ("GET", "HEAD", "OPTIONS") and self._is_foreign(headers, host):
            return refusal(request, sentence("access.foreign_site"), 403)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._body_limit(headers):
            return refusal(request, sentence("messages.too_large"), 413)
        if not self.uploads.allows(self._remote_upload_bytes(headers)):
            return refusal(request, sentence("access.uploaded_enough"), 429)
        wait = self.throttle.wait(_client_of(scope, headers)) if _is_login(scope) else 0.0
        if wait:
            seconds = str(int(wait) + 1)
            wrong = sentence("access.wrong_passwords", seconds=seconds)
            return refusal(request, wrong, 429, {"Retry-After": seconds})
        return None

    def _answers_to(self, host: str) -> bool:
        """Whether `host`, as the header has it, is a name of this server; no other site's name may lead here."""
        name = (urlsplit(f"//{host}").hostname or "").lower()
        if name in LOCAL_HOSTS or name == "::1" or name in self.hosts:
            return True
        if self.mode == "space" and _is_address(name):  # the platform's own health checks
            return True
        return self.mode == "share" and name.endswith(".gradio.live")

    def _is_foreign(self, headers: Headers, host: str) -> bool:
        """Whether the browser sent the request for a page of another site."""
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return True
        origin = headers.get("origin")
        if origin is None:
            return False
        address = urlsplit(origin)
        return address.netloc != host and (address.hostname or "") not in self.hosts

    def _body_limit(self, headers: Headers) -> int:
        """Bytes that the body of this request may have."""
        return UPLOAD_BYTES[self.mode] if _is_upload(headers) else JSON_BYTES

    def _remote_upload_bytes(self, headers: Headers) -> int:
        """Bytes of an upload from another machine (of unknown length: the most allowed); 0 for any other request."""
        if not _is_upload(headers) or _host_of(headers) in LOCAL_HOSTS:
            return 0
        return int(headers.get("content-length", "0")) or self._body_limit(headers)

    def _new_visitor_cookie(self, scope: Scope, headers: Headers) -> str | None:
        """A new secret for a visitor of a Space who has none yet, else None; the request is given its cookie too."""
        if self.mode != "space":
            return None
        cookie = SimpleCookie(headers.get("cookie", "")).get(VISITOR_COOKIE)
        if cookie is not None and VISITOR_PATTERN.fullmatch(cookie.value):
            return None
        secret = secrets.token_urlsafe(32)
        other_headers = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
        other_cookies = [part.strip() for part in headers.get("cookie", "").split(";") if VISITOR_COOKIE not in part]
        cookies = "; ".join([*(part for part in other_cookies if part), f"{VISITOR_COOKIE}={secret}"])
        scope["headers"] = [*other_headers, (b"cookie", cookies.encode("latin-1"))]
        return secret


def _client_of(scope: Scope, headers: Headers) -> str:
    """The address and host name by which wrong passwords are counted.

    All who come through the tunnel have the machine's own address; the host name keeps them apart from the owner at the
    machine, whom they must not lock out.
    """
    address = (scope.get("client") or ("",))[0]
    return f"{address} {_host_of(headers)}"


def _is_login(scope: Scope) -> bool:
    return bool(scope["path"].rstrip("/").endswith("/login") and scope["method"] == "POST")


def _host_of(headers: Headers) -> str:
    return (urlsplit(f"//{headers.get('host', '')}").hostname or "").lower()


def _is_upload(headers: Headers) -> bool:
    return headers.get("content-type", "").startswith("multipart/form-data")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _add_headers(headers: MutableHeaders, mode: Mode, cookie: str | None) -> None:
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers["Content-Security-Policy"] = CONTENT_POLICY + (" https://huggingface.co" if mode == "space" else "")
    if mode == "share":
        headers["X-Robots-Tag"] = "noindex, nofollow"
    if cookie is not None:
        # The Space is shown inside a frame of another site: only a partitioned, secure cookie is kept there.
        attributes = "Path=/; HttpOnly; Secure; SameSite=None; Partitioned; Max-Age=86400"
        headers.append("Set-Cookie", f"{VISITOR_COOKIE}={cookie}; {attributes}")


def _limit_body(receive: Receive, limit: int) -> Receive:
    """A `receive` that ends the request when its body has more than `limit` bytes, whatever length it announced."""
    received = 0

    async def receive_up_to_limit() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            return {"type": "http.disconnect"}
        return message

    return receive_up_to_limit
