"""Which files of a project are served, to whom, and how."""

import asyncio
import os

import httpx
import pytest
from starlette.applications import Starlette

from ksh_studio.generation.worker.handle import Worker
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.server.files import download_folder, file_routes, file_url

IMMUTABLE = "private, max-age=31536000, immutable"


@pytest.fixture
def get(workspace):
    """Get a path from the file routes, as the owner at home or somebody else."""

    def get(path, mode="local"):
        passwords = (("owner", "a"), ("guest", "b")) if mode == "share" else ()
        app = Starlette(routes=file_routes(Studio(workspace, mode, Worker(workspace), passwords)))
        app.cookie_id, app.tokens = "x", {}  # of gradio's app: nobody has logged in

        async def send():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
                return await client.get(path)

        return asyncio.run(send())

    return get


def write(path, content=b"content"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_picture_may_be_kept_by_the_browser_and_is_shown(project, get):
    write(project.pictures / "2026-01-01" / "1-5 %.png")
    reply = get(file_url(project, "picture", "2026-01-01/1-5 %.png"))
    assert (reply.status_code, reply.content) == (200, b"content")
    assert (reply.headers["content-type"], reply.headers["cache-control"]) == ("image/png", IMMUTABLE)
    assert "content-disposition" not in reply.headers


@pytest.mark.parametrize(
    ("kind", "name"), [("picture", "2026-01-01/00001-1.png"), ("preview", "a/previews/000500-1.png")]
)
def test_a_new_picture_of_the_same_name_has_another_address(project, get, kind, name):
    path = (project.pictures if kind == "picture" else project.jobs) / name
    write(path, b"red")
    before = file_url(project, kind, name)
    path.unlink()
    write(path, b"blue")
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))  # where the clock of the disk is coarse
    after = file_url(project, kind, name)
    assert after != before
    assert (get(after).content, get(after).headers["cache-control"]) == (b"blue", IMMUTABLE)
    for address in (before, before.split("?")[0]):
        assert (get(address).content, get(address).headers["cache-control"]) == (b"blue", "no-store")


def test_a_drawing_is_named_by_its_content_and_kept_under_any_address(project, get):
    write(project.drawings / "0123456789abcdef.webp")
    address = f"/ksh/{project.slug}/drawing/0123456789abcdef.webp"
    assert file_url(project, "drawing", "0123456789abcdef.webp") == address
    assert get(address).headers["cache-control"] == IMMUTABLE


@pytest.mark.parametrize("name", ["/etc/passwd", "../project.json", "//host/share/x.png", "missing.png"])
def test_an_address_is_made_without_a_look_outside_of_the_folder(project, name):
    assert "?" not in file_url(project, "preview", name)


@pytest.mark.parametrize(("kind", "name"), [("export", "20260101-000000-export/demo.zip"), ("backup", "demo.zip")])
def test_a_zip_is_downloaded_and_not_kept(kind, name, project, get):
    write((project.jobs if kind == "export" else download_folder(project, kind)) / name)
    reply = get(file_url(project, kind, name, at="12:30"))
    assert (reply.status_code, reply.headers["cache-control"]) == (200, "no-store")
    assert reply.headers["content-disposition"].startswith("attachment")


def test_previews_and_loras_lie_in_the_folders_of_jobs(project, get):
    write(project.jobs / "a" / "previews" / "1.png")
    write(project.jobs / "a" / "loras" / "ksh.safetensors")
    assert get(file_url(project, "preview", "a/previews/1.png")).status_code == 200
    assert get(file_url(project, "lora", "a/loras/ksh.safetensors")).headers["cache-control"] == "no-store"


def test_no_other_file_of_the_folder_is_served(project, get):
    for name in ("a/job.json", "a/log.txt", "a/.hidden.png"):
        write(project.jobs / name)
        assert [get(file_url(project, kind, name)).status_code for kind in ("preview", "lora")] == [404, 404], name
    assert get(f"/ksh/{project.slug}/nonsense/a.png").status_code == 404
    assert get(file_url(project, "preview", "missing.png")).status_code == 404


@pytest.mark.parametrize("name", ["../captions.db", "../../demo/project.json", "/etc/passwd"])
def test_a_name_that_leads_out_of_the_folder_is_refused(name, project, get):
    assert get(f"/ksh/{project.slug}/picture/{name.replace('/', '%2F')}").status_code == 403


def test_without_login_nothing_is_served_over_a_share_link(project, get):
    write(project.pictures / "1.png")
    assert get(file_url(project, "picture", "1.png"), "share").status_code == 401
