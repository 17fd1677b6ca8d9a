"""The form of a Korean particle after words of every kind."""

import pytest

from ksh_studio.particles import with_particles


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("그림[을/를]", "그림을"),
        ("레시피[을/를]", "레시피를"),
        ("파일[으로/로]", "파일로"),
        ("그림[으로/로]", "그림으로"),
        ("폴더[으로/로]", "폴더로"),
        ("‘이어서 학습’[을/를] 누르세요", "‘이어서 학습’을 누르세요"),
        ('"중지"[을/를]', '"중지"를'),
        ("괄호 ([이/가]", "괄호 (가"),
        ("봄 (완성)[은/는]", "봄 (완성)은"),
        ("스텝과 랭크[과/와] 크기[은/는]", "스텝과 랭크와 크기는"),
    ],
)
def test_after_hangul_the_final_consonant_decides(text, expected):
    assert with_particles(text) == expected


@pytest.mark.parametrize(
    ("number", "topic", "toward"),
    [("0", "은", "으로"), ("1", "은", "로"), ("2", "는", "로"), ("3", "은", "으로"), ("4", "는", "로"),
     ("5", "는", "로"),
     ("6", "은", "으로"), ("7", "은", "로"), ("8", "은", "로"), ("9", "는", "로"), ("1,000", "은", "으로"),
     ("-0.4", "는", "로"), ("１６", "은", "으로"), ("50%", "는", "로"), ("50 %)", "는", "로")],
)  # fmt: skip
def test_digits_are_read_in_korean(number, topic, toward):
    assert with_particles(f"{number}[은/는]") == number + topic
    assert with_particles(f"{number}[으로/로]") == number + toward


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.png", "를"), ("LoRA", "를"), ("VAE", "를"), ("SQL", "을"), ("M", "을"), ("b", "를"), ("PNG", "를"),
     ("model", "을"), ("my_style", "을"), ("Pocket", "을"), ("backup", "을"), ("checkpoint", "를"), ("note", "를"),
     ("line", "을"), ("Anything V5", "를"), ("painting", "을"), ("x.safetensors", "를"), ("Facebook", "을")],
)  # fmt: skip
def test_latin_letters_are_read_as_korean_spells_them(name, form):
    assert with_particles(f"{name}[을/를]") == name + form


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("春[은/는]", "春은(는)"),
        ("春[으로/로]", "春(으)로"),
        ("春[이라고/라고]", "春(이)라고"),
        ("…[이/가]", "…이(가)"),
    ],
)
def test_both_forms_stand_where_the_reading_is_not_known(text, expected):
    assert with_particles(text) == expected


def test_what_stands_before_the_text_counts_and_other_brackets_stay():
    assert with_particles("[이/가] 없습니다", "그림") == "이 없습니다"
    assert with_particles("[a/b] {x}[1/2]") == "[a/b] {x}[1/2]"
