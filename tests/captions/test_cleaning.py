import pytest

from ksh_studio.captions.cleaning import clean
from tests.work import cpu_seconds


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("a girl with blue hair\n", "a girl with blue hair"),
        ("an anime drawing of a girl", "a girl"),
        ("An anime drawing of: a girl.", "a girl"),
        ("a photo of a girl in a red dress", "a girl in a red dress"),
        ("a black and white photo of a cat", "a cat"),
        ("this is an illustration of two boys", "two boys"),
        ("a girl holding a photo of a cat", "a girl holding a photo of a cat"),
        ("a girl with a girl with a girl with a hat", "a girl with a hat"),
        ("a girl girl girl", "a girl"),
        ("blue hair, smile, blue hair, red eyes", "blue hair, smile, red eyes"),
        ("a girl, drawn by Hayao Miyazaki", "a girl"),
        ("a girl painted by someone, smiling", "a girl, smiling"),
        ("a girl by Hayao Miyazaki in the rain", "a girl in the rain"),
        ("a girl by the sea", "a girl by the sea"),
        ("a girl standing by a window", "a girl standing by a window"),
        ("  ,, a girl ;", "a girl"),
        ("\x00\ufeff", ""),
        ("파란 머리의 소녀", "파란 머리의 소녀"),
    ],
)
def test_a_caption_keeps_only_what_is_seen(text, caption):
    assert clean(text, "an anime drawing of") == caption


def test_cleaning_twice_changes_nothing_more():
    once = clean("a photo of a girl, a girl, by the sea by the sea, art by Someone")
    assert clean(once) == once == "a girl, by the sea"


@pytest.mark.parametrize("text", ["a" * 50_000 + "!", " " * 50_000, ",(" * 20_000, "by A" * 10_000, "a b " * 10_000])
def test_cleaning_is_little_work_for_anything(text):
    _, seconds = cpu_seconds(lambda: clean(text, "a"))
    assert seconds < 1.0
