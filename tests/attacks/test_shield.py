"""What stands before the page: foreign hosts and origins, big bodies, guessed passwords, tricky paths."""

import httpx
import pytest

from ksh_studio.ui.server import shield
from ksh_studio.ui.server.shield import HOUR, LOGIN_TRIES, Allowance, Throttle
from tests.attacks.server import PUBLIC_HOST, served, visitor
from tests.journeys.browser import demo_of

pytestmark = pytest.mark.timeout(120)
EVIL = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]
TRICKS = [
    "/gradio_api/file=/etc/passwd",
    "/gradio_api/file=..%2f..%2f..%2fetc%2fpasswd",
    "/gradio_api/file={root}/projects/demo/project.json",
    "/gradio_api/file={root}/projects/demo/captions.db",
    "/gradio_api/file=/proc/self/environ",
    "/gradio_api/file=studio.py",
    "/ksh/demo/picture/..%2f..%2f..%2fproject.json",
    "/ksh/demo/picture/..%2fproject.json",
    "/ksh/demo/drawing/../captions.db",
    "/ksh/demo/drawing/%2e%2e/captions.db",
    "/ksh/demo/preview/%2fetc%2fpasswd",
    "/ksh/demo/thumb/.hidden.webp",
    "/ksh/demo/nonsense/a.webp",
    "/ksh/..%2f..%2f..%2fetc/thumb/a.webp",
    "/ksh/demo/picture/%00.png",
]


@pytest.fixture
def home(workspace, no_probe):
    with served(workspace, "local") as (_, address):
        yield address


def test_a_foreign_host_is_not_answered(home):
    for host in ("evil.example", PUBLIC_HOST, "127.0.0.1.evil.example", ""):
        assert httpx.get(home, headers={"Host": host}).status_code == 400
    assert httpx.get(home, headers={"Host": "localhost:1"}).status_code == 200


@pytest.mark.parametrize("headers", EVIL)
def test_another_site_cannot_write(home, headers):
    for path in ("/gradio_api/queue/join", "/gradio_api/upload", "/gradio_api/run/predict", "/login"):
        assert httpx.post(home + path, headers=headers, json={}).status_code == 403


def test_the_page_itself_may_write(home):
    body = {"data": [], "fn_index": 0, "session_hash": "x"}
    reply = httpx.post(
        f"{home}/gradio_api/run/predict", json=body, headers={"Origin": home, "Sec-Fetch-Site": "same-origin"}
    )
    assert reply.status_code != 403


def test_oversized_bodies_are_refused_at_once(home):
    assert httpx.post(f"{home}/gradio_api/run/predict", content=b"x" * 2_100_000).status_code == 413
    headers = {"Content-Type": "application/json"}

    def endless():
        for _ in range(400):
            yield b"x" * 10_000

    with pytest.raises(httpx.HTTPError):
        httpx.post(f"{home}/gradio_api/run/predict", content=endless(), headers=headers).raise_for_status()


def test_every_answer_carries_the_safety_headers(home):
    headers = httpx.get(home).headers
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert "script-src-attr 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'self'" in headers["content-security-policy"]


@pytest.mark.parametrize("trick", TRICKS)
def test_no_path_trick_reaches_a_file(home, workspace, trick):
    demo_of(workspace, 1) if "demo" in trick else None
    reply = httpx.get(home + trick.format(root=workspace.root))
    assert reply.status_code in (307, 400, 403, 404) and b"SQLite" not in reply.content


def test_guessing_passwords_is_slowed_down_and_does_not_lock_out_the_owner(workspace, no_probe):
    with served(workspace, "share") as (_, address):
        guesser = visitor(address)
        wrong = {"username": "guest", "password": "wrong"}
        codes = [guesser.post("/login", data=wrong).status_code for _ in range(LOGIN_TRIES + 3)]
        assert codes == [400] * LOGIN_TRIES + [429] * 3
        right = guesser.post("/login", data={"username": "guest", "password": "guest-secret"})
        assert right.status_code == 429 and int(right.headers["retry-after"]) <= 61
        visitor(address, "owner", host=address.removeprefix("http://"))


def test_each_wrong_password_after_the_fifth_doubles_the_wait():
    throttle = Throttle()
    waits = []
    for _ in range(8):
        throttle.failed("a")
        waits.append(round(throttle.wait("a"), -1))
    assert waits == [0, 0, 0, 0, 60, 120, 240, 480]
    throttle.succeeded("a")
    assert throttle.wait("a") == 0 and throttle.wait("b") == 0


def test_uploads_from_afar_end_before_the_disk_is_full_and_nobody_else_can_use_them_up(
    workspace, no_probe, monkeypatch
):
    monkeypatch.setattr(shield, "UPLOAD_HOUR", 100_000)
    file = {"files": ("a.png", b"a" * 40_000)}
    with served(workspace, "share") as (_, address):
        stranger, guest = visitor(address), visitor(address, "guest")
        assert {stranger.post("/gradio_api/upload", files=file).status_code for _ in range(5)} == {401}
        assert [guest.post("/gradio_api/upload", files=file).status_code for _ in range(4)] == [200, 200, 429, 429]
        owner = visitor(address, "owner", host=address.removeprefix("http://"))
        assert owner.post("/gradio_api/upload", files=file).status_code == 200


def test_an_allowance_is_new_after_an_hour(monkeypatch):
    allowance = Allowance(10)
    allowance.take(8)
    assert allowance.allows(2) and not allowance.allows(3)
    later = shield.time.monotonic() + HOUR + 1
    monkeypatch.setattr(shield.time, "monotonic", lambda: later)
    assert allowance.allows(10)
