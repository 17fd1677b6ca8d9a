"""Calls every event of the page over raw HTTP, past the page's buttons."""

import hashlib
from typing import Any

import gradio as gr
import pytest

from ksh_studio.config import ProjectSettings
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.ui.access.roles import ALLOWED
from ksh_studio.ui.access.visit import visitor_workspace
from ksh_studio.ui.server.shield import VISITOR_COOKIE
from tests.attacks.server import ask, call, served, snapshot, visitor
from tests.journeys.browser import demo_of

REFUSED = ("share link", "shared Space")
pytestmark = pytest.mark.timeout(180)


def value_for(component: Any) -> Any:
    """A value that gradio itself lets through, so that only our own check can refuse."""
    if getattr(component, "elem_id", "") == "project-slug":
        return "demo"
    if isinstance(component, gr.Dropdown | gr.Radio):
        return component.choices[0][1] if component.choices else None
    if isinstance(component, gr.CheckboxGroup):
        return []
    if isinstance(component, gr.Checkbox):
        return True
    if isinstance(component, gr.Number | gr.Slider):
        return component.value or 1
    return None if isinstance(component, gr.File | gr.UploadButton | gr.State | gr.HTML) else "demo"


def events(page: gr.Blocks, role: str, allowed: bool) -> list[int]:
    """Numbers of the page's events that this role may, or may not, call."""
    named = {number: fn.fn.action for number, fn in page.fns.items() if fn.fn is not None}
    return [number for number, action in named.items() if (role in ALLOWED[action]) == allowed]


def attack(client, page, role) -> list[str]:
    """Call every event that this role may not; return those that our own sentence did not refuse."""
    let_through = []
    for number in events(page, role, allowed=False):
        done, answer = call(client, page, number, [value_for(part) for part in page.fns[number].inputs])
        if done or not any(text in answer for text in REFUSED):
            let_through.append(f"{page.fns[number].name}: {answer[:200]}")
    return let_through


def arrived(address: str, page: gr.Blocks) -> Any:
    """A visitor of a Space whose page has opened: with cookie, workspace and demo project."""
    client = visitor(address, host="127.0.0.1")
    cookie = client.get("/").headers["set-cookie"]
    assert all(word in cookie for word in (VISITOR_COOKIE, "HttpOnly", "Secure", "Partitioned"))
    client.cookies.set(VISITOR_COOKIE, cookie.split(";")[0].split("=", 1)[1])
    number = next(number for number, fn in page.fns.items() if fn.name == "opened")
    assert call(client, page, number, [])[0]
    return client


@pytest.mark.parametrize("account", ["guest", "owner"])
def test_over_a_share_link_every_forbidden_event_refuses_whatever_the_account(workspace, no_probe, account):
    demo_of(workspace, 1, "a cat")
    with served(workspace, "share") as (page, address):
        client = visitor(address, account)
        before = snapshot(workspace.root)
        assert len(events(page, "guest", allowed=False)) >= 15
        assert attack(client, page, "guest") == []
        assert snapshot(workspace.root) == before


def test_on_a_space_every_forbidden_event_refuses(workspace, no_probe):
    demo_of(workspace, 1, "a cat")
    with served(workspace, "space") as (page, address):
        client = arrived(address, page)
        before = snapshot(workspace.root)
        assert len(events(page, "visitor", allowed=False)) >= 10
        assert attack(client, page, "visitor") == []
        assert snapshot(workspace.root) == before


def test_without_login_no_event_answers(workspace, no_probe):
    with served(workspace, "share") as (page, address):
        client = visitor(address)
        for number, fn in page.fns.items():
            done, answer = call(client, page, number, [value_for(part) for part in fn.inputs])
            assert not done and "Not authenticated" in answer
        assert ask(client, page, "ksh_rows", ["demo", "", "all", 0, 10]) is None
        assert client.get("/ksh/demo/thumb/x.webp").status_code == 401


def test_the_owner_at_the_machine_is_let_in(workspace, no_probe):
    demo_of(workspace, 1, "a cat")
    with served(workspace, "share") as (page, address):
        client = visitor(address, "owner", host=address.removeprefix("http://"))
        number = next(number for number, fn in page.fns.items() if fn.name == "show_plan")
        values = [value_for(part) if part.elem_id == "project-slug" else "" for part in page.fns[number].inputs]
        assert ask(client, page, "ksh_rows", ["demo", "", "all", 0, 10])["total"] == 1
        assert "share link" not in call(client, page, number, values)[1]


def test_a_guest_cannot_change_a_caption_but_sees_it(workspace, no_probe):
    project = demo_of(workspace, 1, "a cat")
    with Catalogue(project) as catalogue:
        [drawing] = catalogue.drawings()
    with served(workspace, "share") as (page, address):
        client = visitor(address, "guest")
        reply = ask(client, page, "ksh_save", ["demo", drawing.id, "changed", drawing.revision])
        assert reply["ok"] is False and "share link" in reply["message"]
        rows = ask(client, page, "ksh_rows", ["demo", "", "all", 0, 10])["rows"]
        assert (rows[0]["caption"], rows[0]["editable"]) == ("a cat", False)


SLUGS = ["../../projects/demo", "..", "demo/../demo", "/etc", "demo\0", "", None, 5, ["demo"], {"a": 1}, "a" * 5000]


def test_a_project_is_named_by_its_slug_and_nothing_else(workspace, no_probe):
    demo_of(workspace, 1, "a cat")
    with served(workspace, "space") as (page, address):
        client = arrived(address, page)
        for slug in SLUGS:
            reply = ask(client, page, "ksh_rows", [slug, "", "all", 0, 10])
            assert reply is None or reply["ok"] is False, slug


def test_one_visitor_of_a_space_cannot_reach_anothers_drawings(workspace, no_probe):
    cookies = {"a": "a" * 43, "b": "b" * 43}
    for name, cookie in cookies.items():
        visitors_workspace = visitor_workspace(workspace, hashlib.sha256(cookie.encode()).hexdigest())
        visitors_workspace.prepare()
        visitors_workspace.create_project(ProjectSettings(name=f"secret {name}"))
    theirs = demo_of(visitor_workspace(workspace, hashlib.sha256(cookies["b"].encode()).hexdigest()), 1, "private")
    with Catalogue(theirs) as catalogue:
        [drawing] = catalogue.drawings()
    with served(workspace, "space") as (page, address):
        client = visitor(address, host="127.0.0.1")
        client.cookies.set(VISITOR_COOKIE, cookies["a"])
        assert ask(client, page, "ksh_rows", ["secret-a", "", "all", 0, 10])["ok"] is True
        assert ask(client, page, "ksh_rows", ["secret-b", "", "all", 0, 10])["ok"] is False
        assert ask(client, page, "ksh_rows", ["demo", "", "all", 0, 10]).get("total", 0) == 0
        assert client.get(f"/ksh/demo/thumb/{drawing.id}.webp").status_code in (403, 404)
        hidden = f"..%2f..%2f{theirs.workspace.root.name}%2fprojects%2fdemo"
        assert client.get(f"/ksh/{hidden}/thumb/{drawing.id}.webp").status_code in (403, 404)
        client.cookies.set(VISITOR_COOKIE, cookies["b"])
        assert client.get(f"/ksh/demo/thumb/{drawing.id}.webp").status_code == 200


def test_a_visitor_names_no_model_of_their_own(workspace, no_probe):
    with served(workspace, "space") as (page, address):
        client = arrived(address, page)
        number = next(number for number, fn in page.fns.items() if fn.name == "caption")
        for name in ("someone/their-model", "/etc", "~/model", "C:\\models"):
            values = [
                "demo"
                if part.elem_id == "project-slug"
                else name
                if part.elem_id == "caption-captioner"
                else part.value
                for part in page.fns[number].inputs
            ]
            done, answer = call(client, page, number, values)
            assert not done and "shared Space" in answer
