"""A folder is dropped on the page, in a real Chromium: progress, a reload meanwhile, and a page that stays quick."""

import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from ksh_studio.config import ProjectSettings
from ksh_studio.project.catalogue import Catalogue
from tests.journeys.browser import chromium, open_studio, visit

pytestmark = [pytest.mark.unproved, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1800)]
DRAWINGS = 400
WORK = 900_000
LONGEST_TASK = 5000
"""Milliseconds. The page may take 200; other work on the machine lengthens every task many times."""
OBSERVE = """() => {
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
  }).observe({ type: 'longtask' });
}"""


@pytest.fixture
def drawn(tmp_path):
    """A folder of many different drawings in folders of its own, some with captions, and a file of another kind."""
    folder = tmp_path / "캐릭터 시트"
    for number in range(DRAWINGS):
        path = folder / f"{number % 3}" / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((256, 256), Image.Resampling.NEAREST).save(path)
        if number % 4 == 0:
            path.with_suffix(".txt").write_text(f"drawing {number}", encoding="utf-8")
    (folder / "sketch.psd").write_bytes(b"8BPS" + bytes(100_000))
    return folder


def opened(browser, address):
    """The page with the project on it, quiet after it has been built."""
    page = visit(browser, f"{address}?project=mine")
    expect(page.locator(".ksh-drop-text")).to_contain_text("Drop a folder")
    expect(page.locator("#caption-about")).to_contain_text("no drawings yet")
    return page


def drop(page, path):
    """Drop a file or folder of this machine in the middle of the page, as a hand does."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 400, "y": 500, "data": data})
        if kind == "dragOver":
            expect(page.locator(".ksh-drop-overlay")).to_be_visible()


def test_a_dropped_folder_comes_in_while_the_page_is_reloaded(workspace, drawn):
    project = workspace.create_project(ProjectSettings(name="Mine", base_model="pocket", captioner="pocket"))
    with open_studio(workspace) as address, chromium() as browser:
        page = opened(browser, address)
        page.evaluate(OBSERVE)
        drop(page, drawn)
        expect(page.locator("#import-status")).to_contain_text(re.compile(r"\d of 400"), timeout=WORK)
        expect(page.locator("#import-stop")).to_be_visible()
        longest = page.evaluate("window.longest")
        page.reload()
        expect(page.locator("#caption-about")).to_contain_text("drawings")
        page.evaluate(OBSERVE)
        expect(page.locator("#import-status")).to_contain_text("400 drawings added", timeout=WORK)
        expect(page.locator("#import-status")).to_contain_text("sketch.psd")
        expect(page.locator("#caption-about")).to_contain_text("400 drawings, 100 with a caption")
        expect(page.locator("#import-stop")).to_be_hidden()
        expect(page.locator(".ksh-drop-text")).to_be_visible()
        longest = max(longest, page.evaluate("window.longest"))
        assert longest < LONGEST_TASK
    with Catalogue(project) as catalogue:
        assert "0/0003.png" in {row.source_path for row in catalogue.drawings()}


def test_a_refusal_is_a_sentence_and_the_zone_stays(workspace, tmp_path):
    workspace.create_project(ProjectSettings(name="Mine", base_model="pocket", captioner="pocket"))
    (tmp_path / "empty").mkdir()
    with open_studio(workspace) as address, chromium() as browser:
        page = opened(browser, address)
        drop(page, tmp_path / "empty")
        expect(page.locator("#ksh-message")).to_contain_text("There was no file in it")
        expect(page.locator(".ksh-drop-text")).to_be_visible()
        expect(page.locator(".ksh-drop-overlay")).to_have_count(0)
