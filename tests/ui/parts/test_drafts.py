"""The place of a project's drafts in the browser."""

from ksh_studio.config import ProjectSettings
from ksh_studio.project.workspace import Workspace
from ksh_studio.ui.parts.drafts import draft_place


def test_each_project_of_each_workspace_has_a_place_of_its_own_that_names_no_path(tmp_path):
    places = set()
    for name in ("one", "two"):
        workspace = Workspace(tmp_path / name)
        projects = [workspace.create_project(ProjectSettings(name="Mine")) for _ in range(2)]
        places |= {draft_place(project) for project in projects}
        assert len({draft_place(project).split("/")[0] for project in projects}) == 1
    assert len(places) == 4
    assert all(str(tmp_path) not in place and "mine" not in place for place in places)


def test_a_project_that_takes_the_slug_of_a_deleted_one_does_not_take_its_drafts(workspace):
    first = workspace.create_project(ProjectSettings(name="Mine"))
    place = draft_place(first)
    assert draft_place(workspace.project("mine")) == place
    workspace.delete_project(first)
    assert draft_place(workspace.create_project(ProjectSettings(name="Mine"))) != place
