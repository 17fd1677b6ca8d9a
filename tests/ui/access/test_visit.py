import hashlib
from types import SimpleNamespace
from typing import get_args

import pytest

from ksh_studio.errors import StudioError
from ksh_studio.generation.worker.handle import Worker
from ksh_studio.ui.access.roles import ALLOWED, Action
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import VISITOR_COOKIE, visit_of

FORBIDDEN_FROM_AFAR = {
    "train", "download_lora", "delete_project", "backup", "restore", "settings", "server_path", "model_id",
    "open_folder", "read_log", "publish",
}  # fmt: skip
SECRET = "a" * 43


def request(host="127.0.0.1:7860", cookies=None, username=None, headers=None):
    import gradio as gr

    inner = SimpleNamespace(headers={"host": host} | (headers or {}), cookies=cookies or {}, query_params={})
    return gr.Request(inner, username=username, session_hash="s")


def share(workspace):
    return Studio(workspace, "share", Worker(workspace), (("owner", "o"), ("guest", "g")))


def test_every_action_has_its_row():
    assert set(ALLOWED) == set(get_args(Action))


def test_nobody_but_the_owner_may_what_the_design_forbids_from_afar():
    assert {action for action, roles in ALLOWED.items() if roles == {"owner"}} == FORBIDDEN_FROM_AFAR
    assert all("owner" in roles for roles in ALLOWED.values())


def test_a_guest_may_look_generate_and_download_pictures_and_nothing_else():
    assert {action for action, roles in ALLOWED.items() if "guest" in roles} == {"look", "generate", "download_picture"}


def test_at_home_everybody_is_the_owner(studio):
    visit = visit_of(studio, request())
    assert visit.role == "owner" and all(visit.may(action) for action in get_args(Action))


def test_over_a_share_link_the_owner_is_owner_at_the_machine_only(workspace):
    studio = share(workspace)
    assert visit_of(studio, request(username="owner")).role == "owner"
    assert visit_of(studio, request(username="guest")).role == "guest"
    assert visit_of(studio, request("x.gradio.live", username="owner")).role == "guest"
    forwarded = request(username="owner", headers={"x-forwarded-for": "1.2.3.4"})
    assert visit_of(studio, forwarded).role == "guest"


@pytest.mark.parametrize("name", [None, "", "admin", "Owner"])
def test_a_share_link_lets_nobody_in_without_login(workspace, name):
    with pytest.raises(StudioError, match="Log in"):
        visit_of(share(workspace), request(username=name))


def test_each_visitor_of_a_space_has_a_workspace_of_their_own(workspace):
    studio = Studio(workspace, "space", Worker(workspace))
    first = visit_of(studio, request(cookies={VISITOR_COOKIE: SECRET}))
    second = visit_of(studio, request(cookies={VISITOR_COOKIE: "b" * 43}))
    assert first.role == second.role == "visitor"
    assert first.workspace.root != second.workspace.root
    assert first.workspace.root == workspace.root / "visitors" / hashlib.sha256(SECRET.encode()).hexdigest()[:40]
    assert first.workspace.device_lock == workspace.device_lock


@pytest.mark.parametrize(
    "cookie", ["", "short", "../../../../../../../../../../../../../etc/xx", "a" * 44, "a" * 42 + "/"]
)
def test_a_visitors_cookie_that_is_not_ours_is_refused(workspace, cookie):
    with pytest.raises(StudioError, match="cookies"):
        visit_of(Studio(workspace, "space", Worker(workspace)), request(cookies={VISITOR_COOKIE: cookie}))


def test_a_refusal_says_what_to_do_instead(workspace):
    visit = visit_of(share(workspace), request(username="guest"))
    with pytest.raises(StudioError, match="owner can do it"):
        visit.need("train")
