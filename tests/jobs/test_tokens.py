"""Tokens reach a child only when its settings name the service."""

import pytest

from ksh_studio.jobs import tokens
from ksh_studio.jobs.tokens import tokens_for
from ksh_studio.models.registry import ANYTHING

HUB = {"HF_TOKEN": "hub-canary"}
WANDB = {"WANDB_API_KEY": "wandb-canary"}


@pytest.fixture(autouse=True)
def canaries(monkeypatch):
    for name, value in (HUB | WANDB).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("TRACKIO_SPACE_ID", raising=False)
    monkeypatch.setattr(tokens, "needs_download", lambda entry: entry.source_type == "hub")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {}),
        ({"report_to": "none", "base_model": "pocket"}, {}),
        ({"report_to": "tensorboard", "captioner": "pocket"}, {}),
        ({"report_to": "wandb", "base_model": "pocket"}, WANDB),
        ({"report_to": "trackio", "base_model": "pocket"}, {}),
        ({"base_model": ANYTHING.name}, HUB),
        ({"report_to": "wandb", "base_model": ANYTHING.name}, HUB | WANDB),
        ({"base_model": "/no/such/model.safetensors"}, {}),
    ],
)
def test_each_service_has_its_own_token_and_no_other(settings, expected):
    assert tokens_for(settings) == expected


def test_trackio_on_the_hub_has_the_hubs(monkeypatch):
    monkeypatch.setenv("TRACKIO_SPACE_ID", "artist/runs")
    assert tokens_for({"report_to": "trackio"}) == HUB


def test_a_model_that_is_on_this_machine_needs_none(monkeypatch):
    monkeypatch.setattr(tokens, "needs_download", lambda entry: False)
    assert tokens_for({"base_model": ANYTHING.name}) == {}
