"""Another language is chosen on the page in a real Chromium: every text of it changes at once."""

import pytest
from playwright.sync_api import Page, expect

from ksh_studio.events import Finished, LoraSaved, Validated
from ksh_studio.locales import sentences
from tests.jobs.written_jobs import append, job_with, step
from tests.journeys.browser import chromium, demo_of, open_studio, visit
from tests.tiny import tiny_lora_file

pytestmark = [pytest.mark.unproved, pytest.mark.slow, pytest.mark.browser]
WORDS = """() => { const words = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) words.push(walk.currentNode.data.trim()); return words; }"""


def words_of_another_language(page: Page, language: str) -> set[str]:
    """What is shown and is a whole text of the other language, which this one says otherwise."""
    other, here = sentences("en" if language == "ko" else "ko"), sentences(language)
    shown = set(page.evaluate(WORDS))
    same = {here[key] for key in here}
    return {text for key, text in other.items() if text != here[key] and text in shown and text not in same}


def trained(workspace):
    """The demo with captions, and a training in it that has finished."""
    project = demo_of(workspace, drawings=3, captions="a cat")
    job = job_with(project, step(1), step(2), Validated(step=2, loss=0.1))
    path = tiny_lora_file(job.loras / "demo-000002.safetensors")
    append(job, LoraSaved(step=2, path=project.relative(path)), Finished.saying("train.finished", steps=2, name="x"))
    (job.folder / "process.json").write_text("{}")


def test_every_text_changes_with_the_language(workspace):
    trained(workspace)
    with open_studio(workspace) as address, chromium() as browser:
        page = visit(browser, f"{address}?tab=train")
        expect(page.locator("#train-use-lora")).to_be_visible()
        for language, label, train in (("ko", "한국어", "학습 시작"), ("en", "English", "Train")):
            page.get_by_label(label, exact=True).check()
            expect(page.locator("#train-start")).to_have_text(train)
            expect(page.locator("#train-use-lora")).to_have_text(sentences(language)["train_tab.use_this"])
            for tab in ("generate", "caption", "train"):
                page.click(f"#tab-{tab}-button")
                expect(page.locator(f"#tab-{tab}")).to_be_visible()
                page.wait_for_function("() => document.querySelectorAll('.ksh-meter, button').length > 0")
                assert words_of_another_language(page, language) == set(), tab
