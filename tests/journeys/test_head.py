"""The head of the page in a real Chromium: one line, sheets that open and close, light and dark that stays."""

import pytest
from playwright.sync_api import expect

from tests.journeys.browser import chromium, demo_of, open_sheet, open_studio, visit

pytestmark = [pytest.mark.unproved, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]
PARTS = ("#head-project", "#stages > .tab-wrapper", "#head-tools")


def test_the_head_is_one_line_and_two_on_a_phone_and_its_sheets_take_the_focus_and_give_it_back(workspace):
    demo_of(workspace, 1)
    with open_studio(workspace) as address, chromium() as browser:
        page = visit(browser, address, viewport={"width": 1300, "height": 900})
        assert lines(page) == [56]
        phone = visit(browser, address, viewport={"width": 390, "height": 800})
        assert lines(phone) == [44, 56]
        phone.context.close()
        button, name = (
            page.locator("[data-sheet=new-project]"),
            page.locator("#new-project-name").get_by_role("textbox"),
        )
        open_sheet(page, "new-project")
        expect(name).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.locator("#new-project")).to_be_hidden()
        expect(button).to_be_focused()
        open_sheet(page, "new-project")
        page.locator("#caption-about").click()
        expect(page.locator("#new-project")).to_be_hidden()
        open_sheet(page, "new-project")
        name.fill("Ink")
        name.press("Enter")
        expect(page.locator("#project-picker input")).to_have_value("Ink")
        expect(page.locator("#new-project")).to_be_hidden()
        open_sheet(page, "files")
        expect(page.locator("#workspace-path")).to_contain_text(str(workspace.root))
        page.locator("#files [data-sheet-close]").click()
        page.locator("[data-appearance]").click()
        page.reload()
        expect(page.locator("body")).to_have_class("dark")


def lines(page):
    """Heights of the lines that the head's parts make, the lowest first."""
    expect(page.locator("#head-tools")).to_be_visible()
    boxes = [page.locator(part).bounding_box() for part in PARTS]
    return sorted({round(box["height"]) for box in boxes}) if len({round(box["y"]) for box in boxes}) < 3 else boxes
