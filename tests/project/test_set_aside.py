import json

import pytest

from ksh_studio.config import ProjectSettings
from ksh_studio.disk import write_bytes
from ksh_studio.errors import StudioError
from ksh_studio.project.set_aside import FILE, allow, decline, read_set_aside, require_allowed, set_aside, shown


def write_job(project, name, settings):
    write_bytes(project.jobs / name / "job.json", json.dumps({"stage": "train", "settings": settings}).encode())


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"base_model": "pocket", "captioner": "", "report_to": "none", "init_lora": "", "seed": 1}, None),
        ({"base_model": "org/model"}, ("org/model",)),
        ({"captioner": "/models/x", "report_to": "wandb"}, ("/models/x", "wandb")),
        ({"init_lora": "loras/x.safetensors"}, ("loras/x.safetensors",)),
        ({"sources": ["/home/anna/private", "//host/share"]}, ("/home/anna/private", "//host/share")),
        ({"target": "/home/anna/public"}, ("/home/anna/public",)),
        ({"base_model": {"odd": 1}}, ("{'odd': 1}",)),
        (["base_model"], None),
    ],
)
def test_what_a_job_names_outside_of_the_project_is_noted_and_it_does_not_go_on(project, settings, names):
    write_job(project, "a", settings)
    set_aside(project, {"pocket"})
    if names is None:
        assert read_set_aside(project) is None
        return require_allowed(project, "a")
    assert read_set_aside(project).jobs == {"a": names}
    with pytest.raises(StudioError, match="a came with a backup"):
        require_allowed(project, "a")
    require_allowed(project, "of-today")
    decline(project)
    with pytest.raises(StudioError):
        require_allowed(project, "a")
    allow(project)
    require_allowed(project, "a")


def test_a_model_that_the_owner_has_chosen_meanwhile_stays(project):
    project.save_settings(ProjectSettings(name="x", base_model="org/model", captioner="org/captioner"))
    set_aside(project, ())
    project.change(base_model="pocket")
    allow(project)
    settings = project.settings()
    assert (settings.base_model, settings.captioner) == ("pocket", "org/captioner")
    allow(project)
    decline(project)
    assert read_set_aside(project) is None


def test_a_file_that_cannot_be_read_allows_nothing(project):
    (project.root / FILE).write_text("{")
    for call in (read_set_aside, allow, lambda project: require_allowed(project, "a")):
        with pytest.raises(StudioError, match="cannot be read"):
            call(project)


def test_names_are_few_and_short_in_a_sentence():
    assert shown(["a", "b", "a"]) == "a, b"
    assert shown([str(n) for n in range(9)]) == "0, 1, 2, 3, 4 +4"
    assert len(shown(["x" * 10_000])) == 200
