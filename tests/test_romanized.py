import itertools
import re

import pytest

from ksh_studio.romanized import ascii_name, romanized


@pytest.mark.parametrize(
    ("text", "latin"),
    [
        ("수채화", "suchaehwa"),
        ("연필화", "yeonpilhwa"),
        ("한글", "hangeul"),
        ("내 그림", "nae geurim"),
        ("강아", "gang-a"),
        ("각카", "gak-ka"),
        ("가까", "gakka"),
        ("빛", "bit"),
        ("읽기", "ilgi"),
        ("의자", "uija"),
        ("쌀", "ssal"),
        ("Café", "Cafe"),
        ("日本", "日本"),
        ("", ""),
    ],
)
def test_hangul_is_written_by_the_revised_romanization(text, latin):
    assert romanized(text) == latin


def test_decomposed_hangul_is_the_same():
    import unicodedata

    assert romanized(unicodedata.normalize("NFD", "수채화")) == "suchaehwa"


def test_every_syllable_has_letters():
    for code in range(0xAC00, 0xD7A4):
        assert re.fullmatch("[a-z]+", romanized(chr(code)))


def test_pairs_of_syllables_stay_apart():
    syllables = "가까각강갈감갑간다따닫타아악앙안알암압라랄마바빠파하자짜차사싸나"
    names = ["".join(pair) for pair in itertools.product(syllables, repeat=2)] + list(syllables)
    assert len({ascii_name(name, 64, "x") for name in names}) == len(names)


def test_what_cannot_be_written_has_a_checksum():
    assert ascii_name("그림", 64, "x") == "geurim"
    assert re.fullmatch("x-[0-9a-f]{4}", ascii_name("日本", 64, "x"))
    assert re.fullmatch("kkot-[0-9a-f]{4}", ascii_name("꽃", 64, "x"))
    assert re.fullmatch("a{5}-[0-9a-f]{4}", ascii_name("a" * 30, 10, "x"))
