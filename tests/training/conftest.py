from dataclasses import replace

import pytest
import torch

from ksh_studio.models.loading import load_base
from ksh_studio.models.registry import base_entry
from ksh_studio.training.data.cache import Cache
from ksh_studio.training.data.encode import encode_drawings
from ksh_studio.training.data.items import load_items
from ksh_studio.training.plan.settle import resolve
from ksh_studio.training.step.adapter import add_adapter
from ksh_studio.training.step.state import TrainingState
from ksh_studio.training.step.step import Stepper
from tests.training.lessons import Lesson, add_drawings, short_training


@pytest.fixture
def drawings(project):
    return add_drawings(project)


@pytest.fixture
def settings(base_folder):
    """Complete settings of a run of a few steps with everything on."""
    return lambda **values: short_training(base_folder, **values)


@pytest.fixture
def lesson(project, drawings, settings):
    """Makes a training job of the project that runs in this process."""

    def make(parent=None, **values):
        return Lesson(project, settings(**values), parent)

    return make


@pytest.fixture
def stepper(project, drawings, settings, tmp_path):
    """Makes what computes single steps, on the prepared drawings."""

    def make(precision="no", **values):
        entry = base_entry(settings().base_model)
        config = resolve(settings(mixed_precision=precision, **values), entry, len(drawings))
        base = load_base(entry, torch.device("cpu"), config.mixed_precision)
        items, _ = load_items(project, project.settings().trigger, config, entry.bucket_step)
        data = _result(encode_drawings(base, items, config, Cache(tmp_path / "cache")))
        session = TrainingState(add_adapter(base, config), config, base.dtype)
        if config.gradient_checkpointing:
            base.unet.enable_gradient_checkpointing()
        return Stepper(base, data, session, list(range(len(data.items))))

    return make


def _result(generator):
    """What a generator of events returns at its end."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


@pytest.fixture(autouse=True)
def read_every_step(monkeypatch):
    """So that a stop at a step comes at that step; and previews of two denoising steps."""
    monkeypatch.setattr("ksh_studio.training.measures.step_log.EVERY_SECONDS", 0.0)
    quick = {"num_inference_steps": 2, "bucket_step": 16}
    monkeypatch.setattr("ksh_studio.training.run.base_entry", lambda name: replace(base_entry(name), **quick))
