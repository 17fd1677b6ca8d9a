"""What an artist does, in a real Chromium, on the pocket models."""

import re

import pytest
from playwright.sync_api import expect

from ksh_studio.generation.pictures.gallery import pictures_of
from ksh_studio.generation.pictures.recipe import read_recipe
from ksh_studio.project.catalogue import Catalogue
from tests.journeys.browser import chromium, demo_of, open_studio, visit

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.models, pytest.mark.timeout(1800)]
WORK = 900_000


def test_caption_and_edit_and_a_reload_keeps_it(workspace):
    project = demo_of(workspace, 5)
    with open_studio(workspace) as address, chromium() as browser:
        page = visit(browser, address)
        expect(page.locator("#caption-about")).to_contain_text("5 drawings, 0 with a caption")
        page.locator("#caption-start").click()
        expect(page.locator("#caption-about")).to_contain_text("5 with a caption", timeout=WORK)
        box = page.locator(".ksh-card textarea").first
        expect(box).not_to_have_value("", timeout=WORK)
        box.fill("a person with <b>brown</b> hair, 갈색 머리")
        box.blur()
        expect(page.locator(".ksh-card .ksh-state").first).to_have_text(re.compile("saved|by hand"))
        page.reload()
        again = page.locator(".ksh-card textarea").first
        expect(again).to_have_value("a person with <b>brown</b> hair, 갈색 머리")
    with Catalogue(project) as catalogue:
        captions = {drawing.source for drawing in catalogue.drawings()}
        assert captions == {"person", "captioner"}
        assert all("drawn by KSH" not in drawing.caption for drawing in catalogue.drawings())


def test_generate_and_find_the_picture_after_a_reload(workspace):
    project = demo_of(workspace, 1)
    with open_studio(workspace) as address, chromium() as browser:
        page = visit(browser, f"{address}?tab=generate")
        page.locator("#generate-prompt textarea").fill("(a person : 1.2), blue hair")
        expect(page.locator("#generate-understood")).to_contain_text("1.2")
        page.locator("#generate-settings > button").click()
        page.locator("#generate-num-inference-steps textarea, #generate-num-inference-steps input").fill("6")
        page.locator("#generate-seed textarea, #generate-seed input").fill("7")
        page.locator("#generate-go").click()
        expect(page.locator("#generate-gallery img")).to_have_count(1, timeout=WORK)
        page.reload()
        page.get_by_role("tab", name="Generate").click()
        expect(page.locator("#generate-gallery img")).to_have_count(1)
        page.locator("#generate-gallery button").click()
        expect(page.locator("#generate-large")).to_contain_text("Steps: 6")
        page.locator("#reuse-recipe").click()
        expect(page.locator("#generate-prompt textarea")).to_have_value("(a person : 1.2), blue hair")
    [picture] = pictures_of(project)
    recipe = read_recipe(picture.path)
    assert recipe.config.num_inference_steps == 6 and recipe.config.seed == 7
