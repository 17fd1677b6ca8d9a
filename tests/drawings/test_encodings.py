import random

import pytest

from ksh_studio.drawings.encodings import Encodings, UncertainEncoding, text_of

KOREAN = [
    "파란 머리",
    "소녀, 웃는 얼굴, 교복",
    "그림",
    "눈 오는 날의 고양이 ㅋㅋ",
    "1girl, 긴 생머리, 수채화",
    "‘꽃’과 소년 · 봄",
]
JAPANESE = ["青い髪の少女", "かわいい猫", "1girl, 笑顔の女の子, 制服", "アニメ", "セーラー服、微笑み"]
WESTERN = ["a café", "naïve girl", "Älter als für Elise", "it’s a “quiet” day", "São Paulo, à côté d’une fenêtre"]
CHINESE = ["蓝色头发的女孩在海边微笑", "一个女孩, 长发, 校服", "微笑的少女站在樱花树下"]
TAIWANESE = ["藍色頭髮的女孩在海邊微笑", "一個女孩, 長髮, 校服"]


@pytest.mark.parametrize("text", ["a girl", *KOREAN, *JAPANESE, *WESTERN, *CHINESE])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_read(text, encoding):
    assert text_of(text.encode(encoding)) == text


@pytest.mark.parametrize("text", ["a girl", "a café", "파란 머리 소녀", "青い髪 の少女"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_read(text, encoding):
    assert text_of(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("texts", "encoding"), [(KOREAN, "cp949"), (JAPANESE, "cp932"), (WESTERN, "cp1252")], ids=["ko", "ja", "western"]
)
def test_an_older_encoding_is_read_when_it_is_certain(texts, encoding):
    for text in texts:
        assert text_of(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("text", "encoding", "name"),
    [
        ("少女", "cp932", "Shift-JIS"),  # without kana it could be Chinese
        ("뷁", "cp949", "CP949"),
        *((text, "gb18030", "GBK") for text in CHINESE),
        *((text, "big5", "Big5") for text in TAIWANESE),
    ],
)
def test_what_is_not_certain_is_asked_with_the_names_that_fit(text, encoding, name):
    with pytest.raises(UncertainEncoding) as error:
        text_of(text.encode(encoding))
    assert any(name in candidate for candidate in error.value.candidates)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("青い髪の少女", "euc-jp"),
        ("девушка с синими волосами", "cp1251"),
        ("파란 머리", "johab"),
        ("κορίτσι", "cp1253"),
    ],
)
def test_other_encodings_never_become_nonsense(text, encoding):
    with pytest.raises(UncertainEncoding):
        text_of(text.encode(encoding))


@pytest.mark.parametrize("data", [b"\x81", b"\xff\xfe\x00\xd8", b"\xff\xfe\x00", "파란 머리".encode()[:-1]])
def test_broken_text_is_refused(data):
    with pytest.raises(UncertainEncoding):
        text_of(data)


def test_random_bytes_are_no_korean():
    generator = random.Random(1)
    read = 0
    for _ in range(500):
        pairs = [bytes((generator.randint(0xB0, 0xF7), generator.randint(0xA1, 0xFE))) for _ in range(8)]
        try:
            read += bool(text_of(b"".join(pairs)))
        except UncertainEncoding:
            continue
    assert read < 5


def test_short_captions_are_judged_together():
    files = {str(n): text.encode("cp932") for n, text in enumerate(["少女", *JAPANESE])}
    encodings = Encodings(files.items())
    assert encodings.text_of("0", files["0"]) == "少女"
    chinese = ["女孩", "少女", "老人", "微笑", "校服", "长发", "海边", "樱花", "眼睛", "天空", "红色", "蓝色"]
    files = {str(n): text.encode("gb18030") for n, text in enumerate(chinese)}
    encodings = Encodings(files.items())
    for key, data in files.items():
        with pytest.raises(UncertainEncoding):
            encodings.text_of(key, data)


def test_a_folder_of_several_encodings_is_read_file_by_file():
    files = {text: text.encode("cp949") for text in KOREAN} | {text: text.encode("cp932") for text in JAPANESE}
    encodings = Encodings(files.items())
    assert {text: encodings.text_of(text, data) for text, data in files.items()} == {text: text for text in files}
