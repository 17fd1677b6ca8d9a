"""What stands before the page: foreign hosts and origins, oversized bodies and password guessing are turned away.

Plain ASGI, so that streams pass untouched. `assets/docs/safety.md` lists what it keeps out.
"""

import ipaddress
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ksh_studio.ui.access.roles import Mode
from ksh_studio.ui.access.visit import LOCAL_HOSTS, VISITOR_COOKIE, VISITOR_PATTERN

MEGABYTE = 1_000_000
JSON_BYTES = 2 * MEGABYTE
UPLOAD_BYTES: dict[Mode, int] = {"local": 8000 * MEGABYTE, "share": 30 * MEGABYTE, "space": 200 * MEGABYTE}
UPLOAD_HOUR = 2000 * MEGABYTE
"""What all who come from afar may upload within an hour, so that nobody fills the disk."""
HOUR = 3600.0
LOGIN_TRIES = 5
LOGIN_SECONDS = 60.0
LOGIN_KEPT = 10_000
CONTENT_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; script-src-attr 'none'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; frame-ancestors 'self'"
)


@dataclass
class Throttle:
    """Counts wrong passwords: after five within a minute the next try waits a minute, then two, then four."""

    failures: dict[str, tuple[int, float]] = field(default_factory=dict)
    """(wrong passwords in a row, moment of the last one, monotonic seconds) by who tried."""

    def wait(self, who: str) -> float:
        """Seconds until `who` may try again; 0: now."""
        count, last = self.failures.get(who, (0, 0.0))
        if count < LOGIN_TRIES:
            return 0.0
        return max(0.0, last + LOGIN_SECONDS * 2 ** min(count - LOGIN_TRIES, 10) - time.monotonic())

    def failed(self, who: str) -> None:
        """A wrong password."""
        if len(self.failures) >= LOGIN_KEPT:
            self.failures.clear()
        self.failures[who] = (self.failures.get(who, (0, 0.0))[0] + 1, time.monotonic())

    def succeeded(self, who: str) -> None:
        """The right password."""
        self.failures.pop(who, None)


@dataclass
class Allowance:
    """So many bytes an hour, whoever sends them."""

    limit: int
    taken: deque[tuple[float, int]] = field(default_factory=deque)
    """(moment, monotonic seconds; bytes) of the last hour."""

    def allows(self, size: int) -> bool:
        """Whether there is room for `size` bytes more."""
        while self.taken and self.taken[0][0] < time.monotonic() - HOUR:
            self.taken.popleft()
        return sum(taken for _, taken in self.taken) + size <= self.limit

    def take(self, size: int) -> None:
        """So much was uploaded."""
        self.taken.append((time.monotonic(), size))


class Shield:
    """ASGI middleware; one a server. `hosts`: the names this server answers to besides the machine's own."""

    def __init__(self, app: ASGIApp, mode: Mode = "local", hosts: tuple[str, ...] = ()) -> None:
        self.app = app
        self.mode = mode
        self.hosts = hosts
        self.throttle = Throttle()
        self.uploads = Allowance(UPLOAD_HOUR)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 400, 403, 413 or 429, or pass on with the safety headers added."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        cookie = self._new_visitor(scope, headers)
        who = self._who(scope, headers)

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(MutableHeaders(scope=message), self.mode, cookie)
                if message["status"] == 200 and self._uploaded(headers):
                    self.uploads.take(self._uploaded(headers))
                if scope["path"].rstrip("/").endswith("/login") and scope["method"] == "POST":
                    (self.throttle.succeeded if message["status"] == 200 else self.throttle.failed)(who)
            await send(message)

        await self.app(scope, _limited(receive, self._limit(headers)), send_on)

    def _refusal(self, scope: Scope, headers: Headers) -> PlainTextResponse | None:
        host = headers.get("host", "")
        if not self._answers_to(host):
            return PlainTextResponse("Unknown host.", 400)
        if scope["method"] not in ("GET", "HEAD", "OPTIONS") and self._is_foreign(headers, host):
            return PlainTextResponse("This request came from another site.", 403)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._limit(headers):
            return PlainTextResponse("This is too large.", 413)
        if not self.uploads.allows(self._uploaded(headers)):
            return PlainTextResponse("Too much was uploaded within an hour. Try again later.", 429)
        if scope["path"].rstrip("/").endswith("/login") and scope["method"] == "POST":
            wait = self.throttle.wait(self._who(scope, headers))
            if wait:
                waiting = {"Retry-After": str(int(wait) + 1)}
                return PlainTextResponse(f"Too many wrong passwords. Wait {int(wait) + 1} s.", 429, waiting)
        return None

    def _answers_to(self, host: str) -> bool:
        name = (urlsplit(f"//{host}").hostname or "").lower()
        if name in LOCAL_HOSTS or name == "::1" or name in self.hosts:
            return True
        if self.mode == "space" and _is_address(name):  # the platform's own health checks
            return True
        return self.mode == "share" and name.endswith(".gradio.live")

    def _is_foreign(self, headers: Headers, host: str) -> bool:
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return True
        origin = headers.get("origin")
        if origin is None:
            return False
        place = urlsplit(origin)
        return place.netloc != host and (place.hostname or "") not in self.hosts

    def _limit(self, headers: Headers) -> int:
        return UPLOAD_BYTES[self.mode] if _is_upload(headers) else JSON_BYTES

    def _uploaded(self, headers: Headers) -> int:
        """Bytes of an upload from afar; one of unknown length may be as long as is allowed."""
        if not _is_upload(headers) or _host_of(headers) in LOCAL_HOSTS:
            return 0
        return int(headers.get("content-length", "0")) or self._limit(headers)

    def _who(self, scope: Scope, headers: Headers) -> str:
        """Who guesses passwords: behind the tunnel all look alike, and must not lock out the owner at the machine."""
        client = (scope.get("client") or ("",))[0]
        return f"{client} {_host_of(headers)}"

    def _new_visitor(self, scope: Scope, headers: Headers) -> str | None:
        """On a Space, a secret for a visitor who has none; the request itself already carries it on."""
        if self.mode != "space":
            return None
        known = SimpleCookie(headers.get("cookie", "")).get(VISITOR_COOKIE)
        if known is not None and VISITOR_PATTERN.fullmatch(known.value):
            return None
        made = secrets.token_urlsafe(32)
        kept = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
        others = [f"{part.strip()}" for part in headers.get("cookie", "").split(";") if VISITOR_COOKIE not in part]
        cookie = "; ".join([*(part for part in others if part), f"{VISITOR_COOKIE}={made}"])
        scope["headers"] = [*kept, (b"cookie", cookie.encode("latin-1"))]
        return made


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
        kept = "Path=/; HttpOnly; Secure; SameSite=None; Partitioned; Max-Age=86400"
        headers.append("Set-Cookie", f"{VISITOR_COOKIE}={cookie}; {kept}")


def _limited(receive: Receive, limit: int) -> Receive:
    """`receive` that breaks off a body longer than `limit` bytes, whatever its announced length."""
    seen = 0

    async def counted() -> dict[str, Any]:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            return {"type": "http.disconnect"}
        return message

    return counted
