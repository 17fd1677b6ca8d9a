"""The head's right side: who is told where the files are, and which sheets there are."""

import pytest

from ksh_studio.ui.head import workspace_path
from tests.ui.open_page import ROLES


@pytest.mark.parametrize("role", ROLES)
def test_only_the_owner_is_told_where_the_files_are(opened, role):
    page = opened(role)
    assert (str(page.workspace.root) in workspace_path(page.visit())) == (role == "owner")


def test_every_button_for_a_sheet_has_one(opened):
    page = opened("owner")
    buttons = page.value("head-buttons") + page.value("head-sheets")
    for name in ("new-project", "project-setup", "help", "files"):
        assert f'data-sheet="{name}"' in buttons and page.part(name) is not None
