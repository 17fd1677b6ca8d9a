"""The base model and the captioner: the request's setting, else the project's, else the default of the device."""

from ksh_studio.config import ProjectSettings
from ksh_studio.models.choice import base_model_of, captioner_of


def test_the_request_comes_first_then_the_project_then_the_device(workspace):
    plain = workspace.create_project(ProjectSettings(name="plain"))
    with_models = workspace.create_project(ProjectSettings(name="own", base_model="mine", captioner="its words"))
    assert base_model_of(with_models, "cuda", "other") == captioner_of(with_models, "cuda", "other") == "other"
    assert (base_model_of(with_models, "cuda"), captioner_of(with_models, "cpu")) == ("mine", "its words")
    assert (base_model_of(plain, "cuda"), base_model_of(plain, "mps")) == ("anything-v5", "anything-v5")
    assert (base_model_of(plain, "cpu"), captioner_of(plain, "cpu")) == ("pocket", "pocket")
    assert captioner_of(plain, "cuda") == "blip2-opt-2.7b"
