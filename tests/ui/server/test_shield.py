"""What the shield lets through, in every mode, without a page behind it."""

import asyncio

import httpx
import pytest
from starlette.responses import PlainTextResponse

from ksh_studio.ui.server import shield
from ksh_studio.ui.server.shield import HOUR, JSON_BYTES, UPLOAD_BYTES, LoginThrottle, Shield, UploadAllowance

SPACE_HOST = "anna-studio.hf.space"
SHARE_HOST = "0123456789.gradio.live"
OWN_HOSTS = {
    "local": ["127.0.0.1", "localhost:7860", "LOCALHOST", "[::1]:7860"],
    "share": ["127.0.0.1:7860", SHARE_HOST, SHARE_HOST.upper()],
    "space": [SPACE_HOST, "localhost", "10.0.0.7:7860"],
}
FOREIGN_HOSTS = {
    "local": [SHARE_HOST, SPACE_HOST, "10.0.0.7"],
    "share": [SPACE_HOST, "10.0.0.7"],
    "space": [SHARE_HOST, "anna-other.hf.space"],
}
FOREIGN_EVERYWHERE = [
    "",
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    f"{SHARE_HOST}.evil.example",
    "gradio.live.evil.example",
    "gradio.live",
    "notgradio.live",
    f"{SHARE_HOST}@evil.example",
    f"{SPACE_HOST}.evil.example",
    f"x.{SPACE_HOST}",
]


def answer(mode="local", method="GET", path="/", **request):
    """The answer of a page behind the shield; it has the cookies of the request as its text."""

    async def page(scope, receive, send):
        headers = dict(scope["headers"])
        while (message := await receive()).get("more_body"):
            pass
        status = 400 if message["type"] == "http.disconnect" else 200
        await PlainTextResponse(headers.get(b"cookie", b"").decode(), status)(scope, receive, send)

    hosts = (SPACE_HOST,) if mode == "space" else ()

    async def send():
        transport = httpx.ASGITransport(Shield(page, mode, hosts))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, **request)

    return asyncio.run(send())


@pytest.mark.parametrize(("mode", "host"), [(mode, host) for mode, hosts in OWN_HOSTS.items() for host in hosts])
def test_the_studios_own_hosts_are_answered(mode, host):
    assert answer(mode, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("mode", FOREIGN_HOSTS)
def test_no_other_host_is_answered_in_any_mode(mode):
    hosts = FOREIGN_EVERYWHERE + FOREIGN_HOSTS[mode]
    assert [host for host in hosts if answer(mode, headers={"Host": host}).status_code != 400] == []


@pytest.mark.parametrize("mode", OWN_HOSTS)
def test_another_site_cannot_write_in_any_mode(mode):
    host = OWN_HOSTS[mode][0]
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": f"https://{host}.evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert answer(mode, "POST", headers={"Host": host} | headers).status_code == 403, headers
        assert answer(mode, headers={"Host": host} | headers).status_code == 200, headers
    assert answer(mode, "POST", headers={"Host": host, "Origin": f"https://{host}"}).status_code == 200


@pytest.mark.parametrize("length", ["-1", "1e3", "x", str(JSON_BYTES + 1)])
def test_a_length_that_is_too_large_or_no_number_is_refused(length):
    assert answer(method="POST", headers={"Content-Length": length}).status_code == 413


@pytest.mark.parametrize("mode", UPLOAD_BYTES)
def test_an_upload_may_be_as_large_as_the_mode_allows(mode):
    headers = {"Host": OWN_HOSTS[mode][0], "Content-Type": "multipart/form-data; boundary=x"}
    largest, larger = ({"Content-Length": str(UPLOAD_BYTES[mode] + more)} for more in (0, 1))
    assert answer(mode, "POST", headers=headers | largest).status_code == 200
    assert answer(mode, "POST", headers=headers | larger).status_code == 413


def test_a_body_longer_than_it_said_is_broken_off():
    async def endless():
        for _ in range(3):
            yield b"x" * (JSON_BYTES // 2)

    assert answer(method="POST", content=endless(), headers={"Content-Length": "10"}).status_code == 400


def test_only_a_share_link_is_kept_from_search_engines_and_only_a_space_loads_from_the_hub():
    answers = {mode: answer(mode, headers={"Host": hosts[0]}).headers for mode, hosts in OWN_HOSTS.items()}
    assert [mode for mode, headers in answers.items() if "x-robots-tag" in headers] == ["share"]
    policies = {mode: headers["content-security-policy"] for mode, headers in answers.items()}
    assert [mode for mode, policy in policies.items() if "huggingface.co" in policy] == ["space"]
    assert {headers["x-content-type-options"] for headers in answers.values()} == {"nosniff"}


def test_a_visitor_of_a_space_gets_a_secret_that_this_request_has_already():
    first = answer("space", headers={"Host": SPACE_HOST, "Cookie": "theme=dark"})
    cookie = first.headers["set-cookie"].split(";")[0]
    assert cookie.startswith(f"{shield.VISITOR_COOKIE}=") and first.text == f"theme=dark; {cookie}"
    again = answer("space", headers={"Host": SPACE_HOST, "Cookie": cookie})
    assert "set-cookie" not in again.headers and again.text == cookie
    made_up = answer("space", headers={"Host": SPACE_HOST, "Cookie": f"{shield.VISITOR_COOKIE}=../x"})
    assert "../x" not in made_up.text and "set-cookie" in made_up.headers
    assert "set-cookie" not in answer("share", headers={"Host": SHARE_HOST}).headers


def test_each_wrong_password_after_the_fifth_doubles_the_wait():
    throttle = LoginThrottle()
    waits = []
    for _ in range(8):
        throttle.failed("a")
        waits.append(round(throttle.wait("a"), -1))
    assert waits == [0, 0, 0, 0, 60, 120, 240, 480]
    throttle.succeeded("a")
    assert throttle.wait("a") == 0 and throttle.wait("b") == 0


def test_an_allowance_is_new_after_an_hour(monkeypatch):
    allowance = UploadAllowance(10)
    allowance.add(8)
    assert allowance.allows(2) and not allowance.allows(3)
    later = shield.time.monotonic() + HOUR + 1
    monkeypatch.setattr(shield.time, "monotonic", lambda: later)
    assert allowance.allows(10)
