"""The project bar, as each role may use it."""

import gradio as gr
import pytest

from ksh_studio.config import ProjectSettings
from ksh_studio.ui import project_bar
from ksh_studio.ui.access.visit import VISITOR_PROJECTS
from ksh_studio.ui.server.files import download_folder
from tests.ui.open_page import ROLES


@pytest.fixture
def build():
    def page(studio):
        with gr.Blocks() as blocks:
            project_bar.build(studio)
        return blocks

    return page


@pytest.mark.parametrize("role", ROLES)
def test_another_project_of_the_visitor_is_selected_and_nobody_elses(opened, role):
    page = opened(role)
    page.set("project-picker", page.workspace.create_project(ProjectSettings(name="Other")).slug)
    assert page.press("project-picker", "input") == {"project-slug": "other"}
    page.set("project-picker", "../other")
    with pytest.raises(gr.Error):
        page.press("project-picker", "input")


@pytest.mark.parametrize("role", ["owner", "visitor"])
def test_a_new_project_is_created_and_shown_and_the_name_emptied(opened, role):
    page = opened(role)
    page.set("new-project-name", "  My   cats ")
    answer = page.press("create-project")
    assert page.project.settings().name == "My cats" and page.value("new-project-name") == ""
    assert ("My cats", page.project.slug) in answer["project-picker"].choices
    assert page.value("project-picker") == page.project.slug != "mine"


def test_a_project_needs_a_name(opened):
    with pytest.raises(gr.Error, match="Name"):
        opened("owner").press("create-project")


@pytest.mark.parametrize("role", ["owner", "visitor"])
def test_a_visitor_has_so_many_projects_and_no_more_and_the_owner_as_many_as_they_like(opened, role):
    page = opened(role)
    for number in range(len(page.workspace.projects()), VISITOR_PROJECTS):
        page.set("new-project-name", f"number {number}")
        page.press("create-project")
    assert len(page.workspace.projects()) == VISITOR_PROJECTS
    page.set("new-project-name", "one more")
    if role == "owner":
        page.press("create-project")
    else:
        with pytest.raises(gr.Error, match=f"{VISITOR_PROJECTS} projects"):
            page.press("create-project")
    assert len(page.workspace.projects()) == VISITOR_PROJECTS + (role == "owner")


def test_a_guest_creates_no_project(opened):
    page = opened("guest")
    page.set("new-project-name", "theirs")
    with pytest.raises(gr.Error, match="share link"):
        page.press("create-project")
    assert len(page.workspace.projects()) == 1


def test_settings_are_saved_and_the_menu_has_the_new_name(opened):
    page = opened("owner")
    for name, value in {"project-name": "Ink", "trigger-text": "ksh", "trigger-position": "front"}.items():
        page.set(name, value)
    page.set("project-base-model", "pocket")
    page.set("project-preview-prompts", "a cat\n\na dog")
    answer = page.press("save-settings")
    settings = page.project.settings()
    assert (settings.name, settings.trigger.text, settings.trigger.position) == ("Ink", "ksh", "front")
    assert (settings.base_model, settings.captioner, settings.preview_prompts) == ("pocket", None, ("a cat", "a dog"))
    assert ("Ink", "mine") in answer["project-picker"].choices and answer["settings-said"].startswith("✓")
    assert project_bar.settings_form(page.project) == {
        "name": "Ink", "text": "ksh", "position": "front", "base_model": "pocket", "captioner": "",
        "preview_prompts": "a cat\na dog",
    }  # fmt: skip


@pytest.mark.parametrize("part", ["project-base-model", "project-captioner"])
def test_a_model_that_cannot_be_used_is_refused_and_nothing_is_saved(opened, part):
    page = opened("owner")
    page.set("project-name", "Ink")
    page.set(part, "/nowhere/at/all")
    with pytest.raises(gr.Error, match="nowhere"):
        page.press("save-settings")
    assert page.project.settings().name == "Mine"


def test_a_backup_is_made_and_restored_beside_the_project(opened, with_drawings):
    page = opened("owner")
    with_drawings(page.project)
    assert 'href="/ksh/mine/backup/mine-backup.zip"' in page.press("backup-project")["backup-ready"]
    page.set("restore-project", str(download_folder(page.project, "backup") / "mine-backup.zip"))
    answer = page.press("restore-project", "upload")
    assert len(page.workspace.projects()) == 2 and page.project.slug != "mine"
    assert page.value("project-picker") == page.project.slug
    assert len(answer["project-picker"].choices) == 2 and len(list(page.project.drawings.glob("*.webp"))) == 2


def test_a_project_is_deleted_only_with_the_tick_and_the_next_is_shown(opened):
    page = opened("owner")
    page.workspace.create_project(ProjectSettings(name="Other"))
    with pytest.raises(gr.Error, match="Tick the box"):
        page.press("delete-project")
    page.set("delete-sure", True)
    page.press("delete-project")
    assert [project.slug for project in page.workspace.projects()] == ["other"]
    assert (page.value("project-slug"), page.value("delete-sure")) == ("other", False)
    page.set("delete-sure", True)
    page.press("delete-project")
    assert (page.workspace.projects(), page.value("project-slug")) == ([], "")


def test_the_owner_opens_the_projects_folder(opened, monkeypatch):
    folders = []
    monkeypatch.setattr(project_bar, "open_folder", folders.append)
    page = opened("owner")
    page.press("open-project-folder")
    assert folders == [page.project.root]


@pytest.mark.parametrize("role", ["guest", "visitor"])
@pytest.mark.parametrize("part", ["save-settings", "open-project-folder", "backup-project", "delete-project"])
def test_what_is_the_owners_is_refused_to_others(opened, role, part):
    page = opened(role)
    page.set("delete-sure", True)
    with pytest.raises(gr.Error, match="not possible"):
        page.press(part)
    assert page.project.settings().name == "Mine"


@pytest.mark.parametrize("role", ["guest", "visitor"])
def test_nobody_else_restores_a_backup(opened, role, tmp_path):
    page = opened(role)
    page.set("restore-project", str(tmp_path / "x.zip"))
    with pytest.raises(gr.Error, match="not possible"):
        page.press("restore-project", "upload")


def test_a_project_whose_file_is_damaged_is_still_listed(opened):
    page = opened("owner")
    (page.project.root / "project.json").write_text("{")
    assert project_bar.choices(page.visit()) == [("mine", "mine")]
