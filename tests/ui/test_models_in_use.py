"""What the page says of the models in use, on machines of each kind."""

from dataclasses import replace

import pytest

from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.models_in_use import show_models


@pytest.fixture
def shown(studio, project, monkeypatch):
    """What the page shows on a machine with this device, of a project with these settings."""

    def show(device, language="en", **settings):
        monkeypatch.setattr(Studio, "device", lambda studio: replace(probed, type=device))
        project.change(**settings)
        return show_models(Visit(studio, "owner", language, studio.workspace, "owner"), project.slug)

    probed = studio.device()
    return show


def test_without_a_gpu_each_tab_says_that_a_trial_model_is_in_use_and_what_a_full_one_needs(shown):
    models = shown("cpu", base_model="", captioner="")
    assert models.train == models.generate
    assert "Pocket is in use, a small trial model (128 px)" in models.train
    assert "With an NVIDIA or Apple GPU the studio takes Anything V5." in models.train
    assert "With an NVIDIA GPU the studio takes BLIP-2 (OPT 2.7B)." in models.caption
    assert "체험용 캡션 모델 Pocket을 쓰고" in shown("cpu", "ko").caption


def test_with_a_gpu_nothing_is_said_unless_the_project_is_pinned_to_the_trial_models(shown):
    models = shown("cuda", base_model="", captioner="")
    assert (models.caption, models.train, models.generate) == ("", "", "")
    pinned = shown("cuda", base_model="pocket", captioner="pocket")
    assert "This computer can run Anything V5: choose it" in pinned.generate
    assert "This computer can run BLIP-2 (OPT 2.7B)" in pinned.caption
    apple = shown("mps", base_model="", captioner="")
    assert apple.train == "" and "With an NVIDIA GPU" in apple.caption


def test_menus_name_the_model_that_an_empty_choice_stands_for(shown):
    models = shown("cuda", base_model="pocket", captioner="pocket")
    assert models.project_base["choices"][0] == ("Anything V5 (suits this machine)", "")
    assert models.project_captioner["choices"][0] == ("BLIP-2 (OPT 2.7B) (suits this machine)", "")
    assert models.captioner["choices"][0] == ("Pocket (chosen for this project)", "")
    assert ("Pocket", "pocket") in models.captioner["choices"]


def test_a_model_that_is_not_there_is_left_to_whoever_uses_it(shown):
    models = shown("cpu", base_model="/nowhere/x.safetensors", captioner="/nowhere")
    assert (models.caption, models.train) == ("", "")
    assert models.captioner["choices"][0] == ("/nowhere (chosen for this project)", "")
