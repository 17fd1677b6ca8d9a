"""What the models are taught to read: captions say what is drawn, and only that."""

import numpy as np
import pytest

KNOWN = {"style": "openPeeps", "hair": "blue", "length": "long", "glasses": True, "beard": False, "mood": "smile"}


@pytest.fixture(scope="module")
def captions(recipe):
    return recipe("captions")


def test_the_captioner_learns_one_order_and_no_style(captions):
    assert captions.plain_caption(KNOWN, "pink") == "a person, long blue hair, glasses, smiling, pink background"


def test_a_bald_head_has_no_hair_colour(captions):
    assert captions.plain_caption({"style": "micah", "bald": True}, "grey") == "a person, bald, grey background"


def test_the_base_learns_empty_captions_and_the_grammar_of_a_trigger(captions):
    rng = np.random.default_rng(0)
    made = [captions.base_caption(KNOWN, "pink", rng) for _ in range(2000)]
    texts = [text for text, _ in made]
    assert 0.08 <= np.mean([text == "" for text in texts]) <= 0.12
    assert 0.54 <= np.mean([text.endswith("drawn by open peeps drawing style") for text in texts]) <= 0.63
    assert not [text for text, weights in made if "beard" in text or (not weights and "red" in text.split())]


def test_hair_and_background_are_nearly_always_named(captions):
    rng = np.random.default_rng(1)
    texts = [text for _ in range(2000) if (text := captions.base_caption(KNOWN, "pink", rng)[0])]
    assert np.mean(["blue" in text for text in texts]) >= 0.9
    assert np.mean(["pink" in text for text in texts]) >= 0.9


def test_of_two_colours_the_drawing_has_the_heavier_one(captions):
    rng = np.random.default_rng(2)
    made = [captions.base_caption(KNOWN, "pink", rng) for _ in range(2000)]
    contests = [(text, weights) for text, weights in made if weights]
    assert 200 <= len(contests) <= 350
    for text, weights in contests:
        (right, heavy), (wrong, light) = weights.items()
        assert right in text and wrong in text
        assert ("blue" in right or "pink" in right) and heavy > light
