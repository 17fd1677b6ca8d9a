"""A whole training in a real Chromium, on the pocket model: from the check to the recommended LoRA in Generate."""

import re

import pytest
from playwright.sync_api import Page, expect

from ksh_studio.events import Preview, Step
from ksh_studio.jobs.folder import jobs_of
from ksh_studio.jobs.status import job_events, job_status
from tests.journeys.browser import chromium, demo_of, open_studio, visit

pytestmark = [
    pytest.mark.unproved,
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.models,
    pytest.mark.timeout(3600),
]
WORK = 900_000
STEPS = 240
RUNNING = re.compile(rf"Step \d+ of {STEPS}")


def test_from_the_check_to_the_recommended_lora(workspace):
    project = demo_of(workspace, 5, captions="a person")
    with open_studio(workspace) as address, chromium() as browser:
        page = visit(browser, f"{address}?tab=train")
        check_first(page)
        page.locator("#train-start").click()
        status = page.locator("#train-status")
        expect(status).to_contain_text(RUNNING, timeout=WORK)
        page.reload()
        page.get_by_role("tab", name="Train").click()
        look_now_and_pause(page)
        draw_meanwhile(page)
        page.get_by_role("tab", name="Train").click()
        page.locator("#train-resume").click()
        expect(page.locator("#train-status .ksh-good")).to_be_visible(timeout=WORK)
        use_the_recommended(page)
        assert page.locator("#train-previews .ksh-tiles .ksh-prompt").count() == 1
        assert page.locator("#train-chart polyline").count() >= 3
    [job] = jobs_of(project, "train")
    told = job_events(job)
    assert job_status(job).state == "finished"
    assert [event.step for event in told if isinstance(event, Step)] == list(range(1, STEPS + 1))
    assert [event.prompt for event in told if isinstance(event, Preview) and event.asked] == ["a wizard"]


def check_first(page: Page) -> None:
    """Few, small steps; what they take is measured before they begin."""
    expect(page.locator("#train-plan")).to_contain_text("Check first measures it")
    page.locator("#train-settings > button").click()
    page.locator("#train-max-train-steps").get_by_role("textbox").fill(str(STEPS))
    page.locator("#train-validation-prompts").get_by_role("textbox").fill("a person")
    page.locator("#train-advanced > button").click()
    page.locator("#train-train-batch-size").get_by_role("textbox").fill("1")
    page.locator("#train-validation-steps").get_by_role("textbox").fill("120")
    page.locator("#train-checkpointing-steps").get_by_role("textbox").fill("120")
    expect(page.locator("#train-plan")).to_contain_text(f"{STEPS} steps of 1")
    page.locator("#train-check").click()
    expect(page.locator("#train-plan")).to_contain_text("measured on this machine", timeout=WORK)
    expect(page.locator("#train-start")).to_be_visible(timeout=WORK)


def look_now_and_pause(page: Page) -> None:
    page.locator("#train-preview-prompt").get_by_role("textbox").fill("a wizard")
    page.locator("#train-preview-now").click()
    expect(page.locator("#train-previews")).to_contain_text("a wizard", timeout=WORK)
    page.locator("#train-pause").click()
    expect(page.locator("#train-status")).to_contain_text("Generate works", timeout=WORK)


def draw_meanwhile(page: Page) -> None:
    page.get_by_role("tab", name="Generate").click()
    page.locator("#generate-prompt textarea").fill("a person")
    page.locator("#generate-settings > button").click()
    page.locator("#generate-num-inference-steps textarea, #generate-num-inference-steps input").fill("3")
    page.locator("#generate-go").click()
    expect(page.locator("#generate-gallery img")).to_have_count(1, timeout=WORK)


def use_the_recommended(page: Page) -> None:
    said = page.locator("#train-recommended h4")
    expect(said).to_contain_text("is recommended")
    step = int(re.search(r"\d+", said.inner_text()).group())
    page.locator("#train-use-lora").click()
    lora = page.locator("#generate-lora input")
    expect(lora).to_have_value(re.compile(f"{step:06d}"))
    expect(page.locator("#generate-prompt textarea")).to_have_value(re.compile("drawn by KSH drawing style"))
