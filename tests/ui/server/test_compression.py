"""The page comes compressed to whoever can read that, and nothing else does."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from ksh_studio.ui.server.compression import CompressedPage

PAGE = "<p>그림</p>" * 1000


def answered(path: str, encodings: str) -> httpx.Response:
    app = Starlette(routes=[Route(path, lambda _: HTMLResponse(PAGE))])

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(CompressedPage(app))
        async with httpx.AsyncClient(transport=transport, base_url="http://studio") as client:
            return await client.get(path, headers={"Accept-Encoding": encodings})

    return asyncio.run(ask())


def test_the_page_is_compressed_and_unchanged():
    answer = answered("/", "gzip")
    assert answer.headers["content-encoding"] == "gzip" and answer.text == PAGE
    assert int(answer.headers["content-length"]) < len(PAGE.encode()) / 10


@pytest.mark.parametrize(("path", "encodings"), [("/", "identity"), ("/a.png", "gzip"), ("/api/x", "gzip")])
def test_whoever_cannot_read_it_and_everything_else_gets_it_plain(path, encodings):
    answer = answered(path, encodings)
    assert "content-encoding" not in answer.headers and answer.text == PAGE
