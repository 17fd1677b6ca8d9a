from dataclasses import replace

import pytest
import torch

from ksh_studio.models.loading import load_base
from ksh_studio.models.registry import base_entry
from ksh_studio.training.data import encode as preparing
from ksh_studio.training.data.cache import Cache
from ksh_studio.training.data.items import load_items
from ksh_studio.training.plan.settle import resolve


@pytest.fixture
def base(base_folder):
    return load_base(base_entry(str(base_folder)), torch.device("cpu"), "no")


@pytest.fixture
def ready(project, drawings, settings, base, tmp_path, monkeypatch):
    """Prepares the project's drawings; counts how many pictures and captions went through a model."""
    calls = {"pictures": 0, "captions": 0}
    encode_pictures, encode_tokens = preparing.encode_pictures, preparing.encode_tokens

    def pictures(base, images, flip):
        calls["pictures"] += len(images)
        return encode_pictures(base, images, flip)

    def tokens(base, ids, clip_skip):
        calls["captions"] += len(ids)
        return encode_tokens(base, ids, clip_skip)

    monkeypatch.setattr(preparing, "encode_pictures", pictures)
    monkeypatch.setattr(preparing, "encode_tokens", tokens)

    def run(**values):
        calls.update(pictures=0, captions=0)
        entry = replace(base.entry, bucket_step=16)
        config = resolve(settings(**values), entry, len(drawings))
        items, warnings = load_items(project, project.settings().trigger, config, 16)
        steps, said = preparing.encode_drawings(base, items, config, Cache(tmp_path / "cache")), list(warnings)
        while True:
            try:
                said.append(next(steps))
            except StopIteration as end:
                return end.value, dict(calls), said

    return run
