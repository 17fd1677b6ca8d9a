"""The server at home, over a share link and as a Space: addresses, passwords, ports, and what the environment opens."""

import argparse
import errno
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
from ksh_studio.jobs.spawn import set_environment
from ksh_studio.ui import serve as serving
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.app import build_app
from ksh_studio.ui.serve import launch, serve, start_waiting_jobs
from tests.journeys.browser import free_port

LINK = "https://0123456789.gradio.live"
SECONDS = 60.0
"""A request takes up to a few seconds on a busy machine; this only ends one that hangs."""


def arguments(workspace, **options):
    values = {"workspace": workspace.root, "language": "en", "share": False, "password": None, "port": free_port()}
    return argparse.Namespace(**(values | {"no_browser": True} | options))


@pytest.fixture
def quiet_start(monkeypatch, no_probe):
    """Nothing is made ready behind the page."""
    monkeypatch.setattr(serving, "finish_startup", lambda *_: None)


def test_at_home_no_login_is_asked_and_the_address_is_said(workspace, quiet_start):
    running = serve(arguments(workspace))
    sentence = next(running)
    assert "http://127.0.0.1:" in sentence and str(workspace.root) in sentence
    assert httpx.get(sentence.split()[2], timeout=SECONDS).status_code == 200
    running.close()
    assert workspace.project("demo").settings().base_model == "pocket"


def test_sharing_makes_up_and_says_both_passwords(workspace, quiet_start, monkeypatch):
    monkeypatch.setattr("gradio.networking.setup_tunnel", lambda **_: LINK)
    running = serve(arguments(workspace, share=True))
    address, owner, link = (next(running) for _ in range(3))
    assert LINK in link and "guest" in link and "owner" in owner
    base = address.split()[2]
    page = httpx.get(base, headers={"Host": "0123456789.gradio.live"}, timeout=SECONDS).text
    assert "gradio.s3" not in page
    password = link.split("password: ")[1].split()[0]
    assert len(password) >= 20 and password not in owner
    for typed, status in ((password, 200), ("x", 400)):
        login = {"username": "guest", "password": typed}
        assert httpx.post(f"{base}login", data=login, timeout=SECONDS).status_code == status
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
    sentences = [next(running) for _ in range(3)]
    assert "No share link came" in sentences[2]
    assert httpx.get(sentences[0].split()[2], timeout=SECONDS).status_code == 200
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


def test_a_port_that_may_not_be_opened_is_not_called_one_in_use(workspace, no_probe, monkeypatch):
    def forbidden(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("gradio.http_server.socket.socket.bind", forbidden)
    studio = Studio(workspace, "local", Worker(workspace))
    with pytest.raises(StudioError, match="Port 80 may not be opened"):
        launch(build_app(studio), studio, 80)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9"])
def test_the_page_opens_behind_a_proxy_that_does_not_answer(workspace, quiet_start, monkeypatch, name, proxy):
    for other in ("NO_PROXY", "no_proxy", "http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(other, "")
    monkeypatch.setenv(name, proxy)
    set_environment()
    running = serve(arguments(workspace))
    assert "http://127.0.0.1:" in next(running)
    running.close()


def test_a_machine_too_busy_to_answer_itself_in_time_opens_the_page_all_the_same(workspace, quiet_start, monkeypatch):
    monkeypatch.setattr("gradio.networking.url_ok", lambda _: False)
    running = serve(arguments(workspace))
    assert "http://127.0.0.1:" in next(running)
    running.close()


def test_a_proxy_of_a_kind_that_nothing_can_use_is_named(workspace, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks4://user:canary@127.0.0.1:9")
    with pytest.raises(StudioError, match="ALL_PROXY") as caught:
        next(serve(arguments(workspace)))
    assert "canary" not in str(caught.value)


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
        assert httpx.get(f"{address}gradio_api/file=/etc/hostname", timeout=SECONDS).status_code == 403
        assert httpx.get(f"{address}monitoring", timeout=SECONDS).status_code in (401, 403, 404)
    finally:
        page.close(verbose=False)


def test_a_call_of_an_event_that_is_not_there_is_one_sentence(workspace, no_probe):
    page = build_app(studio := Studio(workspace, "local", Worker(workspace)))
    try:
        address, _ = launch(page, studio)
        for path, number in (("run/predict", 99_999), ("queue/join", 99_999), ("run/predict", -1)):
            body = {"data": [], "fn_index": number, "session_hash": "abc"}
            reply = httpx.post(f"{address}gradio_api/{path}", json=body, timeout=SECONDS)
            assert (reply.status_code, "no such event" in reply.text) == (404, True)
    finally:
        page.close(verbose=False)


def test_the_studio_starts_what_waits_once_no_picture_is_drawn(workspace, project, monkeypatch):
    monkeypatch.setattr(serving, "QUEUE_SECONDS", 0.02)
    actions, closed = [], threading.Event()
    worker = SimpleNamespace(busy=True, end=lambda: actions.append("made room"))

    def start_next(of):
        actions.append(queued_jobs(of)[0].id)
        dequeue_job(queued_jobs(of)[0])
        if len(actions) == 2:
            raise StudioError("disk.full", path="x")  # does not end the watch

    monkeypatch.setattr("ksh_studio.ui.serve.start_next_job", start_next)
    ids = [enqueue_job(project, "train", TrainConfig()).id for _ in range(2)]
    watch = threading.Thread(
        target=start_waiting_jobs, args=(SimpleNamespace(workspace=workspace, worker=worker), closed)
    )
    watch.start()
    closed.wait(0.3)
    assert actions == []
    worker.busy = False
    deadline = time.monotonic() + 30
    while len(actions) < 4 and time.monotonic() < deadline:
        closed.wait(0.02)
    closed.set()
    watch.join()
    assert actions == ["made room", ids[0], "made room", ids[1]]
