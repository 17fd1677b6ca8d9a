"""The page behind its shield: foreign hosts and origins, large bodies, guessed passwords, paths that lead out."""

import httpx
import pytest

from ksh_studio.ui.server import shield
from ksh_studio.ui.server.shield import LOGIN_TRIES
from tests.attacks.server import PUBLIC_HOST, served, visitor
from tests.journeys.browser import demo_of

pytestmark = pytest.mark.timeout(300)
SECONDS = 60.0
"""A request takes up to a few seconds on a busy machine; this only ends one that hangs."""
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
        assert httpx.get(home, headers={"Host": host}, timeout=SECONDS).status_code == 400
    assert httpx.get(home, headers={"Host": "localhost:1"}, timeout=SECONDS).status_code == 200


@pytest.mark.parametrize(("language", "word"), [("en-US", "--share"), ("ko-KR,ko;q=0.9", "휴대폰")])
def test_whoever_comes_by_another_name_is_told_what_to_do(home, language, word):
    headers = {"Host": "192.168.0.7:7860", "Accept-Language": language}
    answer = httpx.get(home, headers=headers, timeout=SECONDS)
    assert answer.status_code == 400 and word in answer.text and "ssh -L" in answer.text


@pytest.mark.parametrize("mode", ["share", "space"])
def test_no_foreign_host_is_answered_over_a_share_link_or_on_a_space(mode, workspace, no_probe):
    with served(workspace, mode) as (_, address):
        for host in ("evil.example", f"{PUBLIC_HOST}.evil.example", "127.0.0.1.evil.example", ""):
            assert httpx.get(address, headers={"Host": host}, timeout=SECONDS).status_code == 400, host


@pytest.mark.parametrize("headers", EVIL)
def test_another_site_cannot_write(home, headers):
    for path in ("/gradio_api/queue/join", "/gradio_api/upload", "/gradio_api/run/predict", "/login"):
        assert httpx.post(home + path, headers=headers, json={}, timeout=SECONDS).status_code == 403


def test_the_page_itself_may_write(home):
    body = {"data": [], "fn_index": 0, "session_hash": "x"}
    reply = httpx.post(
        f"{home}/gradio_api/run/predict",
        json=body,
        headers={"Origin": home, "Sec-Fetch-Site": "same-origin"},
        timeout=SECONDS,
    )
    assert reply.status_code != 403


def test_oversized_bodies_are_refused_at_once(home):
    assert httpx.post(f"{home}/gradio_api/run/predict", content=b"x" * 2_100_000, timeout=SECONDS).status_code == 413
    headers = {"Content-Type": "application/json"}

    def endless():
        for _ in range(400):
            yield b"x" * 10_000

    with pytest.raises(httpx.HTTPError):
        httpx.post(
            f"{home}/gradio_api/run/predict", content=endless(), headers=headers, timeout=SECONDS
        ).raise_for_status()


def test_every_answer_carries_the_safety_headers(home):
    headers = httpx.get(home, timeout=SECONDS).headers
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert "script-src-attr 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'self'" in headers["content-security-policy"]


@pytest.mark.parametrize("trick", TRICKS)
def test_no_path_trick_reaches_a_file(home, workspace, trick):
    demo_of(workspace, 1) if "demo" in trick else None
    reply = httpx.get(home + trick.format(root=workspace.root), timeout=SECONDS)
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


def test_uploads_from_afar_end_before_the_disk_is_full_and_nobody_else_can_use_them_up(
    workspace, no_probe, monkeypatch
):
    monkeypatch.setattr(shield, "UPLOAD_BYTES_PER_HOUR", 100_000)
    file = {"files": ("a.png", b"a" * 40_000)}
    with served(workspace, "share") as (_, address):
        stranger, guest = visitor(address), visitor(address, "guest")
        assert {stranger.post("/gradio_api/upload", files=file).status_code for _ in range(5)} == {401}
        assert [guest.post("/gradio_api/upload", files=file).status_code for _ in range(4)] == [200, 200, 429, 429]
        owner = visitor(address, "owner", host=address.removeprefix("http://"))
        assert owner.post("/gradio_api/upload", files=file).status_code == 200
