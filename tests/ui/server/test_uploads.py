"""Portions of files that are sent to the studio: where they end up, and what is refused."""

import asyncio
import json
import os
import time

import httpx
import pytest
from starlette.applications import Starlette

from ksh_studio.drawings.stage import uploaded_names
from ksh_studio.generation.worker.handle import Worker
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.server.uploads import KEPT_SECONDS, upload_folder, upload_routes

UPLOAD = "0123456789abcdef" * 2


@pytest.fixture
def send(workspace, project):
    """Send a portion as the page's script does."""

    def send(contents, names, upload=UPLOAD, portion=0, mode="local"):
        passwords = (("owner", "a"), ("guest", "b")) if mode == "share" else ()
        app = Starlette(routes=upload_routes(Studio(workspace, mode, Worker(workspace), passwords)))
        app.cookie_id, app.tokens = "x", {}

        async def post():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
                files = [("files", (str(number), content)) for number, content in enumerate(contents)]
                address = f"/ksh/{project.slug}/upload/{upload}/{portion}"
                return await client.post(address, files=files, data={"names": json.dumps(names)})

        return asyncio.run(post())

    return send


def test_portions_are_kept_under_numbers_in_the_projects_own_place(project, send):
    assert send([b"1", b"2"], ["하나/1.png", "../../2.png"]).json() == {"ok": True}
    assert send([b"3"], ["3.txt"], portion=1).json() == {"ok": True}
    folder = upload_folder(project, UPLOAD)
    names = uploaded_names(folder)
    assert [(path.read_bytes(), name) for path, name in names.items()] == [
        (b"1", "하나/1.png"), (b"2", "../../2.png"), (b"3", "3.txt"),
    ]  # fmt: skip
    assert all(path.parent == folder.resolve() for path in names)
    assert folder.is_relative_to(project.workspace.cache)


def test_a_portion_that_is_sent_again_takes_its_own_place(project, send):
    send([b"half"], ["1.png"])
    send([b"whole"], ["1.png"])
    assert [path.read_bytes() for path in uploaded_names(upload_folder(project, UPLOAD))] == [b"whole"]


@pytest.mark.parametrize("names", [["1.png"], [1, 2], "1.png", {"a": 1}, None])
def test_names_that_do_not_fit_the_files_are_refused(project, send, names):
    reply = send([b"1", b"2"], names)
    assert reply.status_code == 403 and "Reload the page" in reply.json()["texts"]["en"]
    assert not upload_folder(project, UPLOAD).exists()


@pytest.mark.parametrize("upload", ["x", "..", "A" * 32, UPLOAD + "0"])
def test_a_place_that_the_page_does_not_name_is_refused(send, upload):
    assert send([b"1"], ["1.png"], upload=upload).status_code in (403, 404, 405)


def test_without_login_nothing_is_taken_over_a_share_link(project, send):
    assert send([b"1"], ["1.png"], mode="share").status_code == 401
    assert not upload_folder(project, UPLOAD).exists()


def test_what_was_sent_and_not_imported_is_deleted_after_a_day(project, send):
    old = upload_folder(project, "f" * 32)
    old.mkdir(parents=True)
    os.utime(old, (time.time() - KEPT_SECONDS - 9,) * 2)
    send([b"1"], ["1.png"])
    assert not old.exists() and upload_folder(project, UPLOAD).is_dir()
