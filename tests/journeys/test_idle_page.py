"""A page that nobody touches asks little and costs little, and still shows what happens elsewhere."""

import pytest
from playwright.sync_api import expect

from ksh_studio.project.catalogue import Catalogue
from tests.benchmarks.idle_page import costs, empty_page, settle
from tests.journeys.browser import chromium, demo_of, open_studio, visit

pytestmark = [pytest.mark.unproved, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]
MORE = 3.0
"""How many times as much as an empty page of gradio; 12 to 15 times while gradio's own timer updated the page."""


def updates(page, seconds):
    """The updates of gradio that the page asks for while nobody touches it, and all its questions."""
    addresses = []
    page.on("request", lambda request: addresses.append(request.url))
    page.wait_for_timeout(seconds * 1000)
    return [url for url in addresses if "gradio_api" in url], addresses


def test_a_page_is_updated_only_when_something_has_changed(workspace):
    project = demo_of(workspace, 2)
    with open_studio(workspace) as address, chromium() as browser:
        page = visit(browser, address)
        expect(page.locator("#caption-about")).to_contain_text("2 drawings, 0 with a caption")
        settle(page)
        asked, everything = updates(page, 8)
        assert asked == [] and 2 <= len(everything) <= 10
        with Catalogue(project) as catalogue:
            catalogue.save_caption(catalogue.drawings()[0].id, "from elsewhere")
        expect(page.locator("#caption-about")).to_contain_text("1 with a caption")
        expect(page.locator(".ksh-card textarea").first).to_have_value("from elsewhere")


def test_an_idle_page_costs_little_more_than_an_empty_one(workspace):
    demo_of(workspace, 3, "a person")
    with open_studio(workspace) as address, empty_page() as empty, chromium() as browser:
        measured = costs(browser, address, empty, seconds=10)
    nothing = measured.pop("empty page").core
    assert {tab: cost for tab, cost in measured.items() if cost.core > MORE * nothing + 0.01} == {}
