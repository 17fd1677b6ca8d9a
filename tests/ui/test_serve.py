import argparse
import threading
import time
from types import SimpleNamespace

import httpx
import pytest

from ksh_studio.config import TrainConfig
from ksh_studio.disk import locked
from ksh_studio.errors import StudioError
from ksh_studio.generation.worker.handle import Worker
from ksh_studio.jobs.queue import dequeue_job, enqueue_job, queued_jobs
from ksh_studio.ui import serve as serving
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visitors import clean_visitors, welcome
from ksh_studio.ui.app import build_app
from ksh_studio.ui.serve import keep_queue, launch, serve
from tests.journeys.browser import demo_of, free_port

LINK = "https://0123456789.gradio.live"


def arguments(workspace, **given):
    values = {"workspace": workspace.root, "language": "en", "share": False, "password": None, "port": free_port()}
    return argparse.Namespace(**(values | {"no_browser": True} | given))


@pytest.fixture
def quiet_start(monkeypatch, no_probe):
    """Nothing is imported behind the page."""
    monkeypatch.setattr(serving, "prepare", lambda *_: None)


def test_at_home_no_login_is_asked_and_the_address_is_said(workspace, quiet_start):
    running = serve(arguments(workspace))
    said = next(running)
    assert "http://127.0.0.1:" in said and str(workspace.root) in said
    assert httpx.get(said.split()[2]).status_code == 200
    running.close()
    assert workspace.project("demo").settings().base_model == "pocket"


def test_sharing_makes_up_and_says_both_passwords(workspace, quiet_start, monkeypatch):
    monkeypatch.setattr("gradio.networking.setup_tunnel", lambda **_: LINK)
    running = serve(arguments(workspace, share=True))
    address, owner, link = (next(running) for _ in range(3))
    assert LINK in link and "guest" in link and "owner" in owner
    assert "gradio.s3" not in httpx.get(f"{address.split()[2]}", headers={"Host": "0123456789.gradio.live"}).text
    password = link.split("password: ")[1].split()[0]
    assert len(password) >= 20 and password not in owner
    base = address.split()[2]
    assert httpx.post(f"{base}login", data={"username": "guest", "password": password}).status_code == 200
    assert httpx.post(f"{base}login", data={"username": "guest", "password": "x"}).status_code == 400
    running.close()


def test_a_password_given_is_the_guests(workspace, quiet_start, monkeypatch):
    monkeypatch.setattr("gradio.networking.setup_tunnel", lambda **_: LINK)
    running = serve(arguments(workspace, share=True, password="비밀번호 123"))
    assert "비밀번호 123" in [next(running) for _ in range(3)][2]
    running.close()


def test_when_no_link_came_it_says_so_and_works_at_home(workspace, quiet_start, monkeypatch, capsys):
    def no_tunnel(**_):
        raise RuntimeError("no network")

    monkeypatch.setattr("gradio.networking.setup_tunnel", no_tunnel)
    running = serve(arguments(workspace, share=True))
    said = [next(running) for _ in range(3)]
    assert "No share link came" in said[2]
    assert httpx.get(said[0].split()[2]).status_code == 200
    running.close()


def test_a_second_studio_on_the_same_workspace_is_one_sentence(workspace):
    with locked(workspace.studio_lock, "job.starting"), pytest.raises(StudioError, match="already open"):
        next(serve(arguments(workspace)))


def test_a_port_in_use_is_one_sentence(workspace, no_probe):
    page = build_app(studio := Studio(workspace, "local", Worker(workspace)))
    try:
        address, _ = launch(page, studio)
        port = int(address.rstrip("/").rsplit(":", 1)[1])
        with pytest.raises(StudioError, match=str(port)):
            launch(build_app(studio), studio, port)
    finally:
        page.close(verbose=False)


def test_vibe_mode_is_refused(workspace, monkeypatch):
    monkeypatch.setenv("GRADIO_VIBE_MODE", "1")
    with pytest.raises(StudioError, match="GRADIO_VIBE_MODE"):
        next(serve(arguments(workspace)))


def test_switches_in_the_environment_open_nothing(workspace, no_probe, monkeypatch):
    monkeypatch.setenv("GRADIO_ALLOWED_PATHS", "/")
    monkeypatch.setenv("GRADIO_RUN_HISTORY", "true")
    page = build_app(studio := Studio(workspace, "local", Worker(workspace)))
    try:
        address, _ = launch(page, studio)
        assert page.allowed_paths == [] and page.run_history is False
        assert httpx.get(f"{address}gradio_api/file=/etc/hostname").status_code == 403
        assert httpx.get(f"{address}monitoring").status_code in (401, 403, 404)
    finally:
        page.close(verbose=False)


def test_a_call_of_an_event_that_is_not_there_is_one_sentence(workspace, no_probe):
    page = build_app(studio := Studio(workspace, "local", Worker(workspace)))
    try:
        address, _ = launch(page, studio)
        for path, number in (("run/predict", 99_999), ("queue/join", 99_999), ("run/predict", -1)):
            body = {"data": [], "fn_index": number, "session_hash": "abc"}
            reply = httpx.post(f"{address}gradio_api/{path}", json=body)
            assert (reply.status_code, "no such event" in reply.text) == (404, True)
    finally:
        page.close(verbose=False)


def test_a_full_space_takes_no_new_visitor_but_keeps_the_old_ones(workspace, no_probe, monkeypatch):
    studio = Studio(workspace, "space", Worker(workspace))
    old, new = (type(workspace)(workspace.visitors / (name * 40)) for name in "ab")
    welcome(studio, old, "en")
    monkeypatch.setattr("ksh_studio.ui.access.visitors.LEAST_FREE", 10**18)
    welcome(studio, old, "en")
    with pytest.raises(StudioError, match="no room"):
        welcome(studio, new, "en")
    assert not new.root.exists()


def test_a_visitor_arrives_to_the_demos_drawings_and_old_visitors_are_cleaned_up(workspace, no_probe):
    demo_of(workspace, 2, "a cat")
    studio = Studio(workspace, "space", Worker(workspace))
    visitor = type(workspace)(workspace.visitors / ("a" * 40))
    welcome(studio, visitor, "ko")
    welcome(studio, visitor, "ko")
    project = visitor.project("demo")
    assert len(list(project.drawings.glob("*.webp"))) == 2 and project.captions_db.is_file()
    assert {path.stat().st_nlink for path in project.drawings.glob("*.webp")} == {2}  # no copy on the disk
    assert clean_visitors(workspace) == []
    assert clean_visitors(workspace, hours=-1) == ["a" * 40]
    assert not visitor.root.exists()


def test_the_studio_starts_what_waits_once_no_picture_is_drawn(workspace, project, monkeypatch):
    monkeypatch.setattr(serving, "QUEUE_SECONDS", 0.02)
    told, closed = [], threading.Event()
    worker = SimpleNamespace(busy=True, end=lambda: told.append("made room"))

    def start_next(of):
        told.append(queued_jobs(of)[0].id)
        dequeue_job(queued_jobs(of)[0])
        if len(told) == 2:
            raise StudioError("disk.full", path="x")  # does not end the watch

    monkeypatch.setattr("ksh_studio.ui.serve.start_next_job", start_next)
    wanted = [enqueue_job(project, "train", TrainConfig()).id for _ in range(2)]
    watch = threading.Thread(target=keep_queue, args=(SimpleNamespace(workspace=workspace, worker=worker), closed))
    watch.start()
    closed.wait(0.3)
    assert told == []
    worker.busy = False
    deadline = time.monotonic() + 30
    while len(told) < 4 and time.monotonic() < deadline:
        closed.wait(0.02)
    closed.set()
    watch.join()
    assert told == ["made room", wanted[0], "made room", wanted[1]]
