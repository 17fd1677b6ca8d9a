import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ksh_studio.config import CaptionConfig, TrainConfig, Trigger
from ksh_studio.errors import StudioError, validated
from ksh_studio.presets import CAPTION_PRESETS, TRAIN_PRESETS

TEXT = "drawn by KSH drawing style"


@pytest.mark.parametrize(
    "caption",
    ["a girl", f"a girl {TEXT}", f"a girl, {TEXT.lower()} {TEXT}", f"{TEXT} a girl", f"{TEXT}, a girl {TEXT}"],
)
def test_the_trigger_stands_once_at_the_end_after_a_space(caption):
    assert Trigger().apply(caption) == f"a girl {TEXT}"
    assert Trigger(position="front").apply(caption) == f"{TEXT} a girl"


def test_a_longer_word_that_ends_like_the_trigger_is_kept():
    assert Trigger(text="ink").strip("a drink") == "a drink"
    assert Trigger(text="ink").apply("a drink") == "a drink ink"


@example(",", "0", "end")
@given(st.text(max_size=200), st.text(min_size=1, max_size=30), st.sampled_from(["end", "front"]))
def test_applying_twice_is_applying_once(caption, text, position):
    trigger = Trigger(text=text, position=position)
    once = trigger.apply(caption)
    assert trigger.apply(once) == once
    assert trigger.strip(once).strip(" ,") == trigger.strip(caption).strip(" ,")


@pytest.mark.parametrize("preset", TRAIN_PRESETS.values())
def test_train_presets_are_valid(preset):
    assert validated(TrainConfig, preset)


@pytest.mark.parametrize("preset", CAPTION_PRESETS.values())
def test_caption_presets_are_valid(preset):
    assert validated(CaptionConfig, preset)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"rank": 1000}, 'Rank must be at most 256; it is "1000".'),
        ({"learning_rate": 0}, 'Learning rate must be more than 0.0; it is "0".'),
        ({"rank": "many"}, 'Rank must be a whole number; it is "many".'),
        ({"rank": 8.5}, 'Rank must be a whole number; it is "8.5".'),
        ({"learning_rate": float("nan")}, 'Learning rate must be a number; it is "nan".'),
        ({"crop": "round"}, "Shape must be one of 'bucket' or 'square'; it is \"round\"."),
        ({"rang": 8}, "There is no setting rang."),
        ({"random_flip": "perhaps"}, 'Mirror at random cannot be "perhaps".'),
    ],
)
def test_a_value_out_of_bounds_is_named_with_its_bound(values, sentence):
    with pytest.raises(StudioError) as caught:
        validated(TrainConfig, values)
    assert str(caught.value) == sentence


def test_a_bound_is_said_in_korean_too():
    with pytest.raises(StudioError) as caught:
        validated(TrainConfig, {"rank": 1000})
    said = caught.value.text("ko")
    assert "256" in said
    assert "@" not in said
    assert "Rank" not in said


@pytest.mark.parametrize(
    ("prompt", "called"),
    [("a girl, Drawn by KSH drawing style", True), ("a girl", False), ("drawn by KSH", False), ("", False)],
)
def test_a_prompt_calls_the_trigger_when_it_holds_it_in_whatever_case(prompt, called):
    assert Trigger().is_called_in(prompt) is called
    assert Trigger(text="").is_called_in(prompt)
