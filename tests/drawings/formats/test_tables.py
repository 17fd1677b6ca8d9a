import unicodedata
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksh_studio.config import Trigger
from ksh_studio.drawings.formats.tables import Row, by_text, caption_in_json, comma_separated, json_lines, read_table
from ksh_studio.project.catalogue import By, bare
from tests.work import cpu_seconds

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=80) | st.sampled_from(
    ["None", "123", "=1+1", '"', 'a, "b"', "줄\n바꿈", "", "\x00", "a\\b", "image,text", "가.png,나"]
)
NAMES = [f"{n:016x}.webp" for n in range(5)]


@settings(deadline=None)
@given(st.lists(ANY_TEXT, max_size=5), st.sampled_from(["end", "front"]))
def test_any_caption_survives_the_way_out_and_in(texts, position):
    trigger = Trigger(position=position)
    stored = [bare(text, trigger) for text in texts]
    rows = [(name, trigger.apply(text)) for name, text in zip(NAMES, stored, strict=False)]
    lines = json_lines({"file_name": name, "text": text, "source": "person"} for name, text in rows)
    for name, data in (("info.csv", comma_separated(rows)), ("metadata.jsonl", lines)):
        if not rows and name == "info.csv":
            continue  # a table without a row is refused
        table = read_table(name, data.decode("utf-8-sig"), set(NAMES))
        assert [bare(row.caption, trigger) for row in table.rows] == stored
        assert (table.repaired, table.skipped) == (False, 0)


SUFFIX = "drawn by KSH drawing style"
BROKEN = (
    "image,text\n"
    f"그림 1.png,a girl with blue hair, smiling {SUFFIX}\n"
    f'쉼표, 그림.png,she says "hello", and leaves {SUFFIX}\n'
    f"줄.png,first line\nsecond, line\nthird {SUFFIX}\n"
    f"지운 그림.png,nobody {SUFFIX}\n"
    f'인용.png,"quoted, ""inside""" {SUFFIX}\n'
)
KNOWN = {"그림 1.png", "쉼표, 그림.png", "줄.png", "인용.png"}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_originals_unquoted_table_is_taken_apart_by_names(newline):
    table = read_table("info.csv", BROKEN.replace("\n", newline), KNOWN)
    assert table.repaired
    assert [(row.name, bare(row.caption, Trigger())) for row in table.rows] == [
        ("그림 1.png", "a girl with blue hair, smiling"),
        ("쉼표, 그림.png", 'she says "hello", and leaves'),
        ("줄.png", "first line second, line third"),
        ("지운 그림.png", "nobody"),
        ("인용.png", '"quoted, ""inside"""'),
    ]


def test_the_originals_table_without_commas_is_plain_csv():
    table = read_table("info.csv", f"image,text\n그림 1.png,a girl {SUFFIX}\n", KNOWN)
    assert table.rows == [Row("그림 1.png", f"a girl {SUFFIX}")]
    assert not table.repaired


def test_a_line_break_in_an_unquoted_caption_is_no_row_even_with_one_comma():
    table = read_table("info.csv", "image,text\n줄.png,one\ntwo, three\n", KNOWN)
    assert [(row.name, row.caption) for row in table.rows] == [("줄.png", "one\ntwo, three")]
    assert table.repaired


def test_columns_are_found_by_their_names_in_any_order():
    data = "text,source,file_name\nа,x,그림 1.png\n"
    assert read_table("metadata.csv", data, KNOWN).rows == [Row("그림 1.png", "а")]


def test_a_table_without_header_is_read():
    assert read_table("info.csv", "그림 1.png,a girl\n줄.png,a boy\n", KNOWN).rows == [
        Row("그림 1.png", "a girl"),
        Row("줄.png", "a boy"),
    ]


def test_lines_that_say_nothing_are_counted():
    data = '{"file_name": "a.png", "text": "x"}\n{broken\n[1]\n{"file_name": "b.png"}\n' + "[" * 100_000 + "\n"
    table = read_table("metadata.jsonl", data, set())
    assert (table.rows, table.skipped) == ([Row("a.png", "x")], 4)


def test_the_original_authors_are_kept():
    for by in (By("person"), By("captioner", "blip2-opt-2.7b"), By("file", "info: 1.csv")):
        data = json_lines([{"file_name": "a.png", "text": "x", "source": by_text(by)}])
        assert read_table("metadata.jsonl", data.decode(), set()).rows[0].by == by


@pytest.mark.parametrize("text", ["", "그냥 글\n둘째 줄\n", "image,text\n", "image;text\n"])
def test_what_is_no_table_is_refused(text):
    with pytest.raises(ValueError):
        read_table("info.csv", text, KNOWN)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_cells_may_be_separated_as_excel_does(separator, quote):
    text = f"image{separator}text\n그림 1.png{separator}{quote}a girl{quote}\n줄.png{separator}{quote}a boy{quote}\n"
    for before in ("", f"sep={separator}\n"):
        assert read_table("info.csv", before + text, KNOWN).rows == [
            Row("그림 1.png", "a girl"),
            Row("줄.png", "a boy"),
        ]


def test_commas_in_a_caption_are_no_separators_where_semicolons_are():
    table = read_table("info.csv", "image;text\n그림 1.png;a girl, blue hair\n줄.png;a boy, smiling\n", KNOWN)
    assert [row.caption for row in table.rows] == ["a girl, blue hair", "a boy, smiling"]
    assert not table.repaired
    table = read_table("info.csv", "image;text\n그림 1.png;a girl; sad\n줄.png;a boy\n", KNOWN)
    assert ([row.caption for row in table.rows], table.repaired) == (["a girl; sad", "a boy"], True)


def test_a_named_column_may_leave_the_endings_away_and_be_korean():
    assert read_table("info.csv", "이미지,캡션\n그림 1,소녀\n", KNOWN).rows == [Row("그림 1", "소녀")]


@pytest.mark.parametrize(
    "text",
    [
        '{"그림 1.png": "a girl"}',
        '{"그림 1.png": {"caption": "a girl", "tags": "1girl"}}',
        '{"그림 1.png": {"tags": ["a", "girl"]}}',
        '[{"file_name": "그림 1.png", "text": "a girl"}]',
        '{"version": 1, "images": [{"file": "그림 1.png", "caption": ["a girl", "other"]}]}',
    ],
)
def test_json_tables_are_read(text):
    caption = "a, girl" if 'tags": [' in text else "a girl"
    assert read_table("captions.json", text, KNOWN).rows == [Row("그림 1.png", caption)]


@pytest.mark.parametrize("text", ["", "[]", "{}", "3", '"x"', '{"a": 1}', "[1]", "[" * 100_000, '{"a": {"b": []}}'])
def test_json_without_captions_is_refused(text):
    with pytest.raises(ValueError):
        read_table("captions.json", text, KNOWN)


def test_the_json_file_of_one_picture_gives_a_caption():
    assert caption_in_json('{"caption": "a girl", "tags": ["x"]}') == "a girl"
    assert caption_in_json('{"tags": ["1girl", "smile"], "image": "x.png"}') == "1girl, smile"
    assert caption_in_json('"a girl"') == "a girl"
    for text in ("", "{}", "[]", "3", '{"tags": 3}'):
        with pytest.raises(ValueError):
            caption_in_json(text)


def test_hostile_tables_are_little_work():
    many = "," * 999 + "\n"
    for text in ("," * 300_000, ('"' * 300_000), "a.png," * 50_000, "a,\n" * 50_000, many * 1000, "\n" * 2_000_000):
        _, seconds = cpu_seconds(partial(_read_if_possible, text, {"a.png"}))
        assert seconds < 10
    names = {"a," * number for number in range(99)}
    _, seconds = cpu_seconds(partial(_read_if_possible, ("a," * 400 + "\n") * 1000, names))
    assert seconds < 10


def test_an_unquoted_table_of_many_tags_is_little_work():
    names = [f"{number}.png" for number in range(2000)]
    tags = ", ".join(["blue hair"] * 70)
    text = "image,text\n" + "".join(f"{name},{tags}\n" for name in names) + "a\n"
    table, seconds = cpu_seconds(partial(read_table, "info.csv", text, set(names)))
    assert [row.name for row in table.rows] == names and table.repaired
    assert seconds < 3


def test_a_name_with_commas_is_found_in_an_unquoted_table_however_it_is_written():
    known = {"쉼표, 둘, 셋.png", "쉼표", "ordner/a,b.png"}
    name = unicodedata.normalize("NFD", "쉼표, 둘, 셋.png")
    text = f"image,text\n{name},a girl, smiling\n./ordner//a,b.png,a boy, in a hat\n"
    table = read_table("info.csv", text, known)
    assert [(row.name, row.caption) for row in table.rows] == [
        (name, "a girl, smiling"), ("./ordner//a,b.png", "a boy, in a hat"),
    ]  # fmt: skip


def _read_if_possible(text, known):
    with suppress(ValueError):
        read_table("info.csv", text, known)
