"""Choosing a sampler on the Generate tab."""

import pytest

from tests.ui.open_page import ROLES


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("sampler", "schedules"), [("DDIM", ["Automatic"]), ("UniPC", ["Automatic", "Uniform", "Karras", "Exponential"])]
)
def test_only_the_schedules_that_the_sampler_can_have_are_offered(opened, role, sampler, schedules):
    page = opened(role)
    page.set("generate-schedule", "SGM Uniform")
    page.set("generate-sampler", sampler)
    menu = page.press("generate-sampler", "input")["generate-schedule"]
    assert [value for _, value in menu.choices] == schedules
    assert page.value("generate-schedule") == "Automatic"
