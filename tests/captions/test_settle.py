"""A captioning's settings: the artist's, else the captioner's own; with which a caption counts as made already."""

import pytest

from ksh_studio.captions.settle import settings_kept, settle
from ksh_studio.config import CaptionConfig
from ksh_studio.errors import StudioError, validated
from ksh_studio.models.registry import CaptionerEntry
from ksh_studio.presets import CAPTION_PRESETS


def test_captions_from_before_there_was_tidying_to_choose_count_as_made_with_the_same_settings():
    assert not {"picture_shape", "cleaning"} & set(settings_kept(CaptionConfig()))
    kept = settings_kept(CaptionConfig(cleaning="none", picture_shape="squash"))
    assert (kept["cleaning"], kept["picture_shape"]) == ("none", "squash")


def test_the_captioner_fills_what_was_left_at_its_default():
    entry = CaptionerEntry("x", "X", "x", "folder", prompt="ask", generation={"num_beams": 1, "max_new_tokens": 20})
    config = settle(CaptionConfig(max_new_tokens=9), entry)
    assert (config.prompt, config.num_beams, config.max_new_tokens) == ("ask", 1, 9)
    early = validated(CaptionConfig, CAPTION_PRESETS["original"])
    assert settle(early, entry).prompt == "A painting of"


def test_a_shortest_caption_above_the_longest_is_one_sentence_about_both():
    with pytest.raises(StudioError) as error:
        validated(CaptionConfig, {"min_new_tokens": 30, "max_new_tokens": 20})
    english, korean = error.value.text("en"), error.value.text("ko")
    assert "Shortest caption is 30" in english and "Longest caption, 20" in english
    assert "최소 길이(30" in korean and "최대 길이(20" in korean
    assert validated(CaptionConfig, {"min_new_tokens": 20, "max_new_tokens": 20})


def test_a_captioners_own_shortest_caption_above_the_artists_longest_is_the_same_sentence():
    entry = CaptionerEntry("x", "X", "x", "folder", generation={"min_new_tokens": 12})
    with pytest.raises(StudioError) as error:
        settle(CaptionConfig(max_new_tokens=9), entry)
    assert error.value.sentence.key == "settings.shortest_above_longest"
