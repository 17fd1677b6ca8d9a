"""Nothing typed is lost: reloads, closed tabs, a studio that is restarted, a network that goes away, and Back."""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from ksh_studio.config import ProjectSettings
from ksh_studio.drawings.importing import import_drawings
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.project.workspace import Project, Workspace
from ksh_studio.ui.parts.drafts import draft_place
from tests.journeys.browser import DEMO, chromium, free_port, open_sheet, open_studio, visit

pytestmark = [pytest.mark.unproved, pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def open_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = Workspace(tmp_path_factory.mktemp("workspace"))
    made.prepare()
    return made


@pytest.fixture(scope="module")
def address(open_workspace: Workspace) -> Iterator[str]:
    """One studio for most of the tests; each has a project of its own."""
    with open_studio(open_workspace) as address:
        yield address


@pytest.fixture
def drawn(open_workspace: Workspace) -> Project:
    return drawings_of(open_workspace, "drawn")


def drawings_of(workspace: Workspace, name: str) -> Project:
    """A project with two drawings, "a person" each."""
    project = workspace.create_project(ProjectSettings(name=name, base_model="pocket", captioner="pocket"))
    for _ in import_drawings(sorted(DEMO.glob("*.png"))[:2], project):
        pass
    with Catalogue(project) as catalogue:
        for drawing in catalogue.drawings():
            catalogue.save_caption(drawing.id, "a person")
    return project


def caption_box(page: Page, number: int = 0) -> Locator:
    return page.locator(".ksh-card textarea").nth(number)


def captions(project: Project) -> list[str]:
    with Catalogue(project) as catalogue:
        return [drawing.caption for drawing in catalogue.drawings()]


def wait_until_saved(project: Project, expected: list[str]) -> None:
    for _ in range(300):
        if captions(project) == expected:
            return
        time.sleep(0.4)
    assert captions(project) == expected


def field(page: Page, name: str) -> Locator:
    return page.locator(f"#{name}").get_by_role("textbox")


def open_settings(page: Page) -> None:
    page.locator("#generate-settings > button").click()
    open_sheet(page, "project-setup")


def type_into(box: Locator, text: str) -> None:
    """Key by key, as a person does, and the box keeps the focus."""
    box.click()
    box.press("End")
    box.press_sequentially(text)


def test_a_caption_typed_just_before_the_page_goes_is_saved(drawn: Project, address: str, browser: Browser):
    page = visit(browser, f"{address}?project={drawn.slug}")
    type_into(caption_box(page), ", 갈색 머리")
    page.wait_for_timeout(100)
    page.reload()
    expect(caption_box(page)).to_have_value("a person, 갈색 머리")
    expect(page.locator(".ksh-state").first).to_have_text("by hand")
    type_into(caption_box(page, 1), ", a hat")
    page.wait_for_timeout(100)
    page.goto("about:blank")
    page.go_back()
    expect(caption_box(page, 1)).to_have_value("a person, a hat")
    type_into(caption_box(page, 1), ", black")
    page.wait_for_timeout(100)
    page.close(run_before_unload=True)
    wait_until_saved(drawn, ["a person, 갈색 머리", "a person, a hat, black"])


def test_a_caption_typed_while_the_network_is_away_is_saved_when_it_is_back(
    drawn: Project, address: str, browser: Browser
):
    page = visit(browser, f"{address}?project={drawn.slug}")
    expect(caption_box(page)).to_have_value("a person")
    page.context.set_offline(True)
    type_into(caption_box(page), " with a hat")
    expect(page.locator(".ksh-state").first).to_contain_text("cannot be reached")
    page.context.set_offline(False)
    wait_until_saved(drawn, ["a person with a hat", "a person"])
    expect(page.locator(".ksh-state").first).to_have_text(re.compile("saved|by hand"))
    expect(caption_box(page)).to_have_value("a person with a hat")
    page.context.close()


def test_of_two_browsers_with_one_caption_neither_overwrites_the_other(drawn: Project, address: str, browser: Browser):
    page = visit(browser, f"{address}?project={drawn.slug}")
    expect(caption_box(page)).to_have_value("a person")
    page.context.set_offline(True)
    type_into(caption_box(page), ", mine")
    other = visit(browser, f"{address}?project={drawn.slug}")
    caption_box(other).fill("theirs")
    caption_box(other).blur()
    wait_until_saved(drawn, ["theirs", "a person"])
    page.context.set_offline(False)
    page.reload()
    expect(page.locator(".ksh-state").first).to_contain_text("theirs")
    expect(caption_box(page)).to_have_value("a person, mine")
    page.locator("#caption-search").get_by_role("textbox").fill("a person")  # its card is no longer there
    expect(page.locator(".ksh-offers")).to_contain_text("“a person, mine”. Changed elsewhere meanwhile: “theirs”")
    page.get_by_text("keep mine").click()
    wait_until_saved(drawn, ["a person, mine", "a person"])
    expect(page.locator(".ksh-offers")).to_have_text("")
    page.context.close()
    other.context.close()


def test_what_is_typed_while_the_studio_is_down_is_saved_after_its_restart(workspace: Workspace, browser: Browser):
    project, port = drawings_of(workspace, "mine"), free_port()
    with open_studio(workspace, port=port) as address:
        page = visit(browser, f"{address}?project={project.slug}")
        expect(caption_box(page)).to_have_value("a person")
        type_into(caption_box(page), ", typed")
    type_into(caption_box(page), " while it was down")
    expect(page.locator(".ksh-state").first).to_contain_text("cannot be reached")
    page.get_by_role("tab", name="Generate").click()
    prompt = page.locator("#generate-prompt textarea")
    prompt.fill("a cat, typed while it was down")
    with open_studio(workspace, port=port):
        wait_until_saved(project, ["a person, typed while it was down", "a person"])
        expect(prompt).to_have_value("a cat, typed while it was down")
        expect(prompt).to_be_visible()
        expect(caption_box(page)).to_have_value("a person, typed while it was down")
        page.context.close()


def test_every_form_stands_there_again_after_a_reload(drawn: Project, address: str, browser: Browser):
    page = visit(browser, f"{address}?project={drawn.slug}&tab=generate")
    prompt = page.locator("#generate-prompt textarea")
    expect(prompt).to_have_value("a person drawn by KSH drawing style")
    open_settings(page)
    field(page, "trigger-text").fill("in my style")
    open_sheet(page, "new-project")
    field(page, "new-project-name").fill("봄 그림")
    page.keyboard.press("Escape")
    page.locator("#generate-seed").get_by_role("textbox").fill("7")
    prompt.fill("")
    prompt.press_sequentially("a cat, 고양이")
    page.get_by_role("tab", name="Train").click()
    page.locator("#train-settings > button").click()
    field(page, "train-max-train-steps").fill("33")
    page.wait_for_timeout(100)
    page.reload()
    page.locator("#train-settings > button").click()
    expect(field(page, "train-max-train-steps")).to_have_value("33")
    expect(page.locator("#train-plan")).to_contain_text("33 steps")
    expect(field(page, "new-project-name")).to_have_value("봄 그림")
    page.get_by_role("tab", name="Generate").click()
    open_settings(page)
    expect(field(page, "trigger-text")).to_have_value("in my style")
    expect(prompt).to_have_value("a cat, 고양이")
    expect(page.locator("#generate-seed").get_by_role("textbox")).to_have_value("7")
    other = visit(browser, f"{address}?project={drawn.slug}&tab=generate")  # another browser: it comes from the disk
    expect(other.locator("#generate-prompt textarea")).to_have_value("a cat, 고양이")
    other.context.close()
    page.context.close()


def test_back_goes_to_the_tab_and_the_project_before(
    open_workspace: Workspace, drawn: Project, address: str, browser: Browser
):
    other = open_workspace.create_project(ProjectSettings(name="another one", base_model="pocket", captioner="pocket"))
    page = visit(browser, f"{address}?project={drawn.slug}")
    expect(caption_box(page)).to_have_value("a person")
    page.get_by_role("tab", name="Train").click()
    expect(page).to_have_url(f"{address}?project={drawn.slug}&tab=train")
    page.locator("#project-picker input").click()
    page.get_by_role("option", name="another one").click()
    expect(page).to_have_url(f"{address}?project={other.slug}&tab=train")
    expect(page.locator("#train-plan")).to_contain_text("no drawings")
    page.go_back()
    expect(page.locator("#train-plan")).to_contain_text("steps of")
    page.go_back()
    expect(caption_box(page)).to_be_visible()
    page.go_forward()
    expect(page.locator("#train-plan")).to_be_visible()
    page.reload()
    expect(page.locator("#train-plan")).to_contain_text("steps of")
    expect(page).to_have_url(f"{address}?project={drawn.slug}&tab=train")
    page.context.close()


def test_a_browser_that_keeps_nothing_warns_before_words_are_lost(drawn: Project, address: str, browser: Browser):
    context = browser.new_context(locale="en-US")
    context.add_init_script("Storage.prototype.setItem = () => { throw new DOMException('', 'QuotaExceededError'); }")
    page = context.new_page()
    page.set_default_timeout(120_000)
    errors, dialogs = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: (dialogs.append(dialog.type), dialog.dismiss()))
    page.goto(f"{address}?project={drawn.slug}")
    expect(caption_box(page)).to_have_value("a person")
    context.set_offline(True)
    type_into(caption_box(page), ", mine")
    expect(page.locator(".ksh-state").first).to_contain_text("cannot be reached")
    page.close(run_before_unload=True)
    page.wait_for_timeout(1000)
    assert dialogs == ["beforeunload"]
    context.set_offline(False)
    wait_until_saved(drawn, ["a person, mine", "a person"])
    expect(page.locator(".ksh-state").first).to_have_text(re.compile("saved|by hand"))
    assert errors == []
    context.close()


def test_drafts_of_deleted_projects_go(open_workspace: Workspace, drawn: Project, address: str, browser: Browser):
    page = visit(browser, f"{address}?project={drawn.slug}")
    page.get_by_role("tab", name="Train").click()
    expect(page.locator("#train-plan")).to_contain_text("steps of")
    page.locator("#train-settings > button").click()
    field(page, "train-max-train-steps").fill("33")
    assert draft_place(drawn) in str(page.evaluate("Object.keys(localStorage)"))
    place = draft_place(drawn)
    open_workspace.delete_project(drawn)
    page.goto(f"{address}?project={drawings_of(open_workspace, 'other').slug}&tab=train")
    expect(page.locator("#train-plan")).to_contain_text("steps of")
    assert place not in str(page.evaluate("Object.keys(localStorage)"))
    page.context.close()
