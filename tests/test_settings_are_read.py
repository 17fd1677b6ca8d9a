"""A setting exists only if its engine reads it."""

import ast
from pathlib import Path

import pytest

from ksh_studio.config import CaptionConfig, GenerateConfig, TrainConfig

PACKAGE = Path(__file__).resolve().parent.parent / "ksh_studio"


def reads(room: str) -> set[str]:
    """Names of the attributes that the modules of a room read."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (PACKAGE / room).rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}


@pytest.mark.parametrize(
    ("config", "room"), [(CaptionConfig, "captions"), (TrainConfig, "training"), (GenerateConfig, "generation")]
)
def test_every_setting_is_read_by_its_engine(config, room):
    assert set(config.model_fields) - reads(room) == set()
