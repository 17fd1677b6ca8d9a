"""What the page says when it refuses: every button, in both languages, read in a real Chromium."""

import os
import time
from contextlib import ExitStack
from pathlib import Path

import numpy
import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from safetensors.numpy import save_file

from ksh_studio.config import CaptionConfig, GenerateConfig, ProjectSettings, TrainConfig
from ksh_studio.disk import locked
from ksh_studio.drawings.importing import import_drawings
from ksh_studio.events import LoraSaved, Started
from ksh_studio.generation.pictures.gallery import add_picture
from ksh_studio.generation.pictures.recipe import RecipeDetails, to_png
from ksh_studio.generation.request import settle
from ksh_studio.jobs.folder import Job
from ksh_studio.jobs.journal import Journal
from ksh_studio.jobs.start import create_job
from ksh_studio.locales import LANGUAGES, translate
from ksh_studio.models.registry import base_entry
from ksh_studio.project.workspace import Project, Workspace
from tests.jobs.written_jobs import step
from tests.journeys.browser import DEMO, chromium, open_studio, visit

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1800)]
WORKING = {"caption-stop", "train-pause", "train-stop", "train-preview-now", "train-add-to-queue"}
"""Buttons that are there while a job works."""
SILENT = {"train-end"}
"""Buttons that are there for a job that works and has said nothing for a minute."""
ELSEWHERE = {
    "generate-stop": "the owner may always press it",
    "restore-project": "opens the file dialogue; see the test of files",
}
"""Buttons that are not pressed here, and why."""
NOT_PRESSED = {
    *("import-stop", "import-resume", "export-stop", "export-resume"),
    *("allow-restored", "decline-restored", "pause-and-draw", "preview-instead", "caption-next"),
}
"""Buttons that no test presses in a browser yet where they must refuse."""
NAMED = {
    "create-project": ("settings.too_short", {"name": "@settings.project.name", "value": "", "limit": "1"}),
    "delete-project": ("access.not_sure", {}),
    "import-read": ("caption_tab.no_folder", {}),
}
"""What a button says that has another reason to refuse than the others."""
MESSAGE = "#ksh-message:not([hidden]) p"
HEAR = "window.addEventListener('ksh-message', ({ detail }) => { if (!detail.unasked) window.answer = detail; })"
PRESS = """(name) => { window.answer = null; document.querySelector(`button#${name}`).click(); }"""
ANSWERED = "window.answer && !document.getElementById('ksh-message').hidden"


def lora_file(path: Path) -> Path:
    """A LoRA file of one module."""
    module = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    shapes = {"lora_down.weight": (2, 8), "lora_up.weight": (8, 2), "alpha": ()}
    tensors = {f"{module}.{part}": numpy.ones(shape, numpy.float32) for part, shape in shapes.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    return path


def project_with_jobs(workspace: Workspace, name: str) -> tuple[Project, list[Job]]:
    """A project with a captioned drawing, a picture, and a captioning and a training with a LoRA that have begun."""
    project = workspace.create_project(ProjectSettings(name=name, base_model="pocket", captioner="pocket"))
    list(import_drawings([next(DEMO.glob("*.png"))], project))
    request = settle(GenerateConfig(seed=7), base_entry("pocket"))
    picture = to_png(Image.new("RGB", (64, 64), "red"), request, 7, RecipeDetails("pocket", "0" * 64, {}))
    add_picture(project, picture, 7)
    jobs = [create_job(project, "caption", CaptionConfig(captioner="pocket"))]
    jobs.append(create_job(project, "train", TrainConfig(base_model="pocket")))
    lora = lora_file(jobs[1].loras / f"{name}-000001.safetensors")
    for job, events in zip(jobs, ([], [step(1), LoraSaved(step=1, path=project.relative(lora))]), strict=True):
        (job.folder / "process.json").write_text("{}")
        with Journal(job.events_file) as journal:
            for event in [Started(stage=job.file.stage, total=2), *events]:
                journal.append(event)
    return project, jobs


def open_everything(page: Page) -> None:
    """Open every tab once, and every fold: what is in them is on the page from then on."""
    for name in ("train", "generate", "caption"):
        page.locator(f"#tab-{name}-button").click()
        page.evaluate("document.querySelectorAll('button.label-wrap:not(.open)').forEach((fold) => fold.click())")


def buttons_of(page: Page) -> set[str]:
    """The page's own buttons that are there now, in every tab and fold."""
    parts = page.evaluate("window.gradio_config.components.map((part) => [part.type, part.props.elem_id])")
    names = [name for kind, name in parts if kind in ("button", "uploadbutton") and name]
    return set(page.evaluate("(names) => names.filter((name) => document.querySelector(`button#${name}`))", names))


def say_in(page: Page, language: str) -> None:
    page.locator(f"#language input[value={language}]").evaluate("(radio) => radio.click()")
    expect(page.locator("html")).to_have_attribute("lang", language)


def expect_buttons(page: Page, names: set[str]) -> None:
    for name in names:
        expect(page.locator(f"button#{name}")).to_be_attached()


def bring_out_more_buttons(page: Page) -> None:
    """A picture was clicked, and the files that would be published were listed: both show buttons of their own."""
    page.locator("#tab-generate-button").click()
    page.locator("#generate-gallery [data-pick]").first.evaluate("(picture) => picture.click()")
    page.locator("#tab-train-button").click()
    page.locator("#publish-repository input, #publish-repository textarea").first.fill("somebody/style")
    page.locator("#publish-licence input, #publish-licence textarea").first.fill("mit")
    for _ in range(60):  # a change of the form makes the list void, maybe only after it was shown
        page.locator("button#publish-list").evaluate("(button) => button.click()")
        page.wait_for_timeout(1000)
        if page.locator("button#publish-send").count():
            break
    expect_buttons(page, {"reuse-recipe", "reuse-seed", "publish-send"})


def refusals(page: Page, slug: str, expected: set[str]) -> None:
    """Press every button of the page, whose project is gone, in both languages; each says its sentence."""
    page.evaluate(HEAR)
    for language in LANGUAGES:
        say_in(page, language)
        gone = translate("project.unknown", language, name=slug)
        for name in sorted(expected - set(ELSEWHERE)):
            key, values = NAMED.get(name, ("", {}))
            page.evaluate(PRESS, name)
            page.wait_for_function(ANSWERED)
            expect(page.locator(MESSAGE), name).to_have_text(translate(key, language, **values) if key else gone)
            expect(page.locator("[data-testid=status-tracker] .error:visible, .toast-body:visible")).to_have_count(0)


def test_every_button_says_in_both_languages_why_it_refuses(workspace):
    idle, _ = project_with_jobs(workspace, "idle")
    with open_studio(workspace) as address, chromium() as browser:
        page = visit(browser, f"{address}?project=idle")
        open_everything(page)
        expect_buttons(page, {"train-resume", "train-use-lora", "train-on", "generate-go"})
        bring_out_more_buttons(page)
        every = buttons_of(page)
        idle.root.rename(workspace.root / "idle")
        refusals(page, "idle", every)
        built = page.evaluate("window.gradio_config.components.filter((part) => part.type.endsWith('button'))")
        names = {part["props"]["elem_id"] for part in built if part["props"].get("elem_id")}
        assert names - every - WORKING - SILENT - set(ELSEWHERE) == NOT_PRESSED


def test_the_buttons_of_a_job_that_works_say_in_both_languages_why_they_refuse(workspace):
    busy, jobs = project_with_jobs(workspace, "busy")
    silent, (_, unheard) = project_with_jobs(workspace, "silent")
    os.utime(unheard.events_file, (time.time() - 600,) * 2)
    with ExitStack() as open_ones:
        for job in (*jobs, unheard):
            open_ones.enter_context(locked(job.lock, "job.running"))
        address = open_ones.enter_context(open_studio(workspace))
        browser = open_ones.enter_context(chromium())
        for project, names in ((busy, WORKING), (silent, SILENT)):
            page = visit(browser, f"{address}?project={project.slug}")
            open_everything(page)
            expect_buttons(page, names)
            project.root.rename(workspace.root / project.slug)
            refusals(page, project.slug, names)
            page.context.close()
