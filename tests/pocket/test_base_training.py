"""How the base learns what a weight in a prompt means."""

from pathlib import Path

import pytest
import torch
from transformers import CLIPTokenizer

pytestmark = pytest.mark.slow

POCKET = Path(__file__).resolve().parents[2] / "assets" / "pocket"


def test_each_token_has_the_weight_of_its_phrase(recipe):
    tokenizer = CLIPTokenizer.from_pretrained(POCKET / "base" / "tokenizer")
    captions = [("a girl, red hair, blue hair", {"red hair": 1.5, "blue hair": 0.5}), ("", {})]
    input_ids, weights = recipe("train_base").tokens_of(tokenizer, captions)
    assert input_ids.shape == (2, 77) and weights.shape == (2, 77, 1)
    weighed = {1.5: "red hair", 0.5: "blue hair"}
    for weight, phrase in weighed.items():
        assert tokenizer.decode(input_ids[0][weights[0, :, 0] == weight]) == phrase
    assert (weights[0] == 1).sum() == 77 - 4
    assert torch.equal(weights[1], torch.ones(77, 1))
