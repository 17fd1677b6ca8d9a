import ast
import json
import string
from pathlib import Path

import pytest

from ksh_studio.config import setting_sentences
from ksh_studio.errors import StudioError
from ksh_studio.locales import FOLDER, LANGUAGES, Sentence, sentence, sentences, translate

SPEAKING = {"StudioError", "Busy", "LoginRequired", "NothingToTrain", "translate", "sentence", "saying", "note"}
PACKAGE = Path(__file__).resolve().parent.parent / "ksh_studio"


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_both_languages_have_the_same_sentences_with_the_same_places():
    english, korean = sentences("en"), sentences("ko")
    assert set(korean) == set(english)
    assert [key for key, text in english.items() if placeholders(text) != placeholders(korean[key])] == []


def test_no_sentence_is_empty():
    named = {key for key in setting_sentences() if key.endswith(".info")}
    for language in ("en", "ko"):
        assert [key for key, text in sentences(language).items() if not text.strip() and key not in named] == []


def test_rooms_are_flat_files_without_twice_said_names():
    for path in FOLDER.rglob("*.json"):
        pairs = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=list)
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), path


def keys_in_code() -> list[tuple[str, str]]:
    """Every literal key given to an error, a sentence, an event or `translate`."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func).split(".")[-1]
            given = [word.value for word in node.keywords if word.arg == "key"]
            if name in SPEAKING and node.args:
                given.append(node.args[0])
            found += [
                (f"{path.name}:{node.lineno}", value.value)
                for value in given
                if isinstance(value, ast.Constant) and isinstance(value.value, str)
            ]
    return found


def test_every_sentence_that_code_says_was_written():
    missing = [(place, key) for place, key in keys_in_code() if key not in sentences("en") and "." in key]
    assert missing == []


def test_a_sentence_in_korean_falls_back_to_nothing_unknown():
    assert translate("job.unknown", "ko", name="한글") == "작업 한글이(가) 없습니다."
    with pytest.raises(KeyError):
        translate("nowhere.nothing")


def test_an_error_speaks_both_languages():
    error = StudioError("job.unknown", name="x{y}")
    assert str(error) == "There is no job x{y}."
    assert error.text("ko") == "작업 x{y}이(가) 없습니다."


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "unknown",
    [
        Sentence(key="x.y"),
        Sentence(key="train.finally", values={"steps": "7", "key": "a", "language": "b"}),
        Sentence(key="disk.full", values={"folder": "a value that it does not ask for"}),
    ],
)
def test_a_sentence_of_a_newer_studio_is_said_in_plain_words(unknown, language):
    text = unknown.text(language)
    assert unknown.key in text and all(value in text for value in unknown.values.values())
    assert translate("ui.unknown_sentence", language)[-20:] in text


def test_half_letters_in_the_name_of_a_file_are_replaced():
    assert sentence("disk.full", path="a\udcb1b").text().startswith("The disk is full: a\N{REPLACEMENT CHARACTER}b")
