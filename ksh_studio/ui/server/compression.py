"""Sends the page itself compressed: gradio compresses its scripts, but not the page, which is the largest of all."""

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

SMALLEST = 1000
"""Bytes of an answer that is worth compressing."""
LEVEL = 5
"""Of gzip, 1 to 9; higher ones take longer and save little more of HTML."""


class CompressedPage:
    """ASGI middleware that compresses the answer to `/` and lets everything else pass untouched.

    Pictures and LoRA files are compressed already, and streams of events must not wait for more.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.compressed = GZipMiddleware(app, SMALLEST, LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        is_page = scope["type"] == "http" and scope["path"] == "/"
        await (self.compressed if is_page else self.app)(scope, receive, send)
