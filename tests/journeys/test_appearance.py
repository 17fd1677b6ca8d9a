"""The page in a real Chromium: no sideways scrolling, nothing fetched from elsewhere, no script of a visitor."""

import re
import sqlite3
from contextlib import closing

import pytest
from playwright.sync_api import expect

from ksh_studio.config import ProjectSettings, Trigger
from ksh_studio.project.catalogue import Catalogue, NewDrawing
from tests.journeys.browser import chromium, demo_of, open_sheet, open_studio, visit

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(900)]
SCRIPT = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>'


def test_every_tab_fits_in_light_and_dark_on_a_phone_and_in_both_languages(workspace):
    demo_of(workspace, 3, "a person")
    with open_studio(workspace) as address, chromium() as browser:
        for width, scheme, locale, name in (
            (1300, "light", "en-US", "Train"),
            (390, "dark", "ko-KR", "학습"),
            (390, "light", "en-US", "Train"),
        ):
            page = browser.new_context(
                viewport={"width": width, "height": 900}, color_scheme=scheme, locale=locale
            ).new_page()
            said, asked = [], []
            page.on(
                "console", lambda message, said=said: said.append(message.text) if message.type == "error" else None
            )
            page.on("pageerror", lambda error, said=said: said.append(str(error)))
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.goto(address)
            expect(page.get_by_role("tab", name=re.compile(name))).to_be_visible()
            for number in range(3):
                page.get_by_role("tab").nth(number).click()
                page.wait_for_timeout(600)
                wide, room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
                assert wide <= room, (width, locale, number)
            # The arrow of a list covers no letter of a long name.
            boxes = page.locator('input[role="combobox"]')
            padded = boxes.evaluate_all("all => all.map(box => parseFloat(getComputedStyle(box).paddingRight))")
            assert padded and min(padded) > 20
            assert said == []
            assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
            page.context.close()


def test_the_language_switch_changes_everything_and_loses_nothing(workspace):
    demo_of(workspace, 2)
    with open_studio(workspace) as address, chromium() as browser:
        page = visit(browser, address)
        expect(page.locator("#caption-about")).to_contain_text("2 drawings")
        open_sheet(page, "new-project")
        page.locator("#new-project-name").get_by_role("textbox").fill("kept")
        page.keyboard.press("Escape")  # the sheet lies over the switch
        page.locator("#language label").nth(1).click()
        expect(page.locator("#caption-about")).to_contain_text("그림 2장")
        expect(page.locator("#caption-start")).to_have_text("캡션 붙이기")
        expect(page.get_by_role("tab").nth(2)).to_contain_text("생성")
        expect(page.locator(".ksh-card textarea").first).to_have_attribute("placeholder", "캡션 없음")
        expect(page.locator("#new-project-name").locator("input, textarea")).to_have_value("kept")  # in a closed sheet
        page.reload()
        expect(page.locator("#caption-start")).to_have_text("캡션 붙이기")
        expect(page.locator("#caption-about")).to_contain_text("그림 2장")


def test_what_a_visitor_writes_never_runs(workspace):
    project = demo_of(workspace, 1, SCRIPT)
    project.change(name=SCRIPT[:90], trigger=Trigger(text=SCRIPT[:150]).model_dump())
    with Catalogue(project) as catalogue:
        [drawing] = catalogue.drawings()
        values = {"original_name": SCRIPT, "source_path": "x", "width": 9, "height": 9}
        catalogue.add(NewDrawing(id="0" * 16, file_sha256="1", pixel_sha256="2", **values))
    with open_studio(workspace) as address, chromium() as browser:
        page = visit(browser, address)
        expect(page.locator(".ksh-card")).to_have_count(2)
        expect(page.locator(".ksh-card textarea").first).to_be_visible()
        for number in (1, 2, 0):
            page.get_by_role("tab").nth(number).click()
            page.wait_for_timeout(500)
        page.get_by_role("tab").nth(2).click()
        page.locator("#generate-prompt textarea").fill(f"({SCRIPT} : 1.4)")
        page.wait_for_timeout(1500)
        assert page.evaluate("window.hit") is None
        assert drawing.caption == SCRIPT


def test_five_thousand_drawings_are_scrolled_and_edited_without_waiting(workspace):
    project = workspace.create_project(ProjectSettings(name="many"))
    with Catalogue(project):
        rows = [
            (f"{number:016x}", f"{number:05d}.png", "x", 9, 9, f"{number}", f"{number}", "", 0)
            for number in range(5000)
        ]
    with closing(sqlite3.connect(project.captions_db)) as database, database:  # at once: 5,000 synced commits take long
        names = "id, original_name, source_path, width, height, file_sha256, pixel_sha256, flags, imported"
        database.executemany(f"INSERT INTO drawings ({names}) VALUES ({', '.join('?' * 9)})", rows)
    with open_studio(workspace) as address, chromium() as browser:
        page = visit(browser, f"{address}?project=many")
        expect(page.locator(".ksh-card").first).to_be_visible()
        assert page.locator(".ksh-card").count() < 80
        page.locator(".ksh-view").evaluate("view => view.scrollTop = view.scrollHeight")
        expect(page.get_by_text("04999.png")).to_be_visible()
        box = page.locator(f"[data-drawing='{4999:016x}'] textarea")
        box.fill("the last one")
        box.blur()
        page.wait_for_timeout(500)
        page.locator("#caption-search").get_by_role("textbox").fill("last one")
        expect(page.locator(".ksh-card")).to_have_count(1)
    with Catalogue(project) as catalogue:
        assert catalogue.drawing(f"{4999:016x}").caption == "the last one"


def test_a_caption_changed_elsewhere_while_it_is_typed_is_not_overwritten(workspace):
    project = demo_of(workspace, 1, "a person")
    with open_studio(workspace) as address, chromium() as browser:
        page = visit(browser, address)
        box = page.locator(".ksh-card textarea").first
        expect(box).to_have_value("a person")
        with Catalogue(project) as catalogue:
            [drawing] = catalogue.drawings()
            catalogue.save_caption(drawing.id, "theirs")
        box.fill("mine")
        expect(page.locator(".ksh-state")).to_contain_text("theirs")
        with Catalogue(project) as catalogue:
            assert catalogue.drawing(drawing.id).caption == "theirs"
        page.get_by_text("keep mine").click()
        expect(page.locator(".ksh-state")).to_contain_text(re.compile("saved|by hand"))
        page.locator("#caption-undo").click()
        expect(box).to_have_value("theirs")
