import ast
import json
import re
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


def written() -> list[tuple[str, str, str]]:
    """(language, key, text) of every sentence, as it stands in its file."""
    return [
        (path.parent.name, f"{path.stem}.{name}", text)
        for path in FOLDER.rglob("*.json")
        for name, text in json.loads(path.read_text(encoding="utf-8")).items()
    ]


def test_no_particle_is_left_to_the_reader():
    both = re.compile(r"\((은|는|이|가|을|를|와|과|으|이)\)(?!라는 이름)|[은이을과와]\((는|가|를|와|과)\)")
    assert [key for language, key, text in written() if language == "ko" and both.search(text)] == []
    after_value = re.compile(r"\}[\"”’]?(은|는|이|가|을|를|과|와|으로|로|이라는|라는|이라고|라고)(?![가-힣])")
    assert [(key, text) for language, key, text in written() if language == "ko" and after_value.search(text)] == []


def test_every_mark_of_a_particle_has_its_two_forms_in_order():
    known = {
        ("은", "는"),
        ("이", "가"),
        ("을", "를"),
        ("과", "와"),
        ("으로", "로"),
        ("이라고", "라고"),
        ("이라는", "라는"),
    }
    marks = {match for _, _, text in written() for match in re.findall(r"\[([^\[\]/]*)/([^\[\]]*)\]", text)}
    assert marks and marks <= known
    assert [key for key, text in sentences("ko").items() if "{" not in text and "[" in text] == []


def test_what_scripts_fill_in_themselves_has_no_particle_to_choose():
    filled = ("caption_tab.grid_", "caption_tab.drop_", "messages.")
    assert [key for key, text in sentences("ko").items() if key.startswith(filled) and "[" in text] == []


def buttons() -> set[str]:
    """The keys of the names of all buttons of the page."""
    calls = [
        node
        for path in (PACKAGE / "ui").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Button") and node.args
    ]
    return {word.value for call in calls for word in ast.walk(call.args[0]) if isinstance(word, ast.Constant)}


def test_sentences_call_buttons_as_the_buttons_are_called():
    keys = buttons()
    assert "train_tab.resume" in keys and keys <= set(sentences("en"))
    for language in LANGUAGES:
        quoted = {f"‘{sentences(language)[key]}’" for key in keys}
        pressed = [
            f"{word} {sentences(language)[key]}" for key in keys for word in ("press", "Press", "click", "Click")
        ]
        by_hand = [(key, text) for at, key, text in written() if at == language]
        assert [key for key, text in by_hand if any(name in text for name in (*quoted, *pressed))] == []
    assert "‘이어서 학습’을 누르면" in translate("train.stopped", "ko", step=1, total=2)
    assert "Resume goes on" in translate("train.stopped", "en", step=1, total=2)


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
    assert translate("job.unknown", "ko", name="한글") == "작업 한글이 없습니다."
    with pytest.raises(KeyError):
        translate("nowhere.nothing")


def test_an_error_speaks_both_languages():
    error = StudioError("job.unknown", name="x{y}")
    assert str(error) == "There is no job x{y}."
    assert error.text("ko") == "작업 x{y}가 없습니다."


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
