"""A tiny loaded base model, shared by the tests of this room."""

import pytest
import torch

from ksh_studio.config import ProjectSettings
from ksh_studio.models.loading import load_base
from ksh_studio.models.registry import base_entry


@pytest.fixture(scope="module")
def base(base_folder):
    return load_base(base_entry(str(base_folder)), torch.device("cpu"), torch.float32)


@pytest.fixture
def tiny_project(workspace, base_folder):
    """A project whose base model is the tiny one."""
    return workspace.create_project(ProjectSettings(name="작은 것", base_model=str(base_folder)))
