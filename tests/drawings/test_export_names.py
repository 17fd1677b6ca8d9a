import dataclasses

import pytest

from ksh_studio.drawings.export_names import MOST_BYTES, export_stems
from ksh_studio.project.catalogue import Drawing


def stems(*names):
    drawing = Drawing("", "", "", 48, 40, "", "")
    drawings = [dataclasses.replace(drawing, id=f"{n:08x}" * 2, original_name=name) for n, name in enumerate(names)]
    return list(export_stems(drawings).values())


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("눈 오는 날.png", "눈 오는 날"),
        ("it's! (1).PNG", "it's! (1)"),
        ("a.b.c.webp", "a.b.c"),
        ("그림", "그림"),
        ("a:b?c.png", "a_b_c"),
        ("=1+1.png", "1+1"),
        ("--flag.png", "flag"),
        ("..hidden.png", "hidden"),
        ("__pycache__.png", "pycache__"),
        ("end. .png", "end"),
        ("\N{REPLACEMENT CHARACTER}x.png", "x"),
        ("con.png", "0000000000000000"),
        ("LPT1.png", "0000000000000000"),
        (".png", "png"),
        ("???.png", "0000000000000000"),
        ("", "0000000000000000"),
    ],
)
def test_a_name_stays_where_every_system_can_have_it(name, stem):
    assert stems(name) == [stem]


def test_a_long_name_is_cut_between_its_letters():
    for name in ("가" * 200, "x" * 300, "ab" + "🎨" * 100):
        [stem] = stems(f"{name}.png")
        assert name.startswith(stem) and MOST_BYTES - 4 < len(stem.encode()) <= MOST_BYTES


def test_names_that_some_system_takes_for_one_get_a_part_of_the_id():
    assert stems("가.png", "가.jpg", "나.png") == ["가-00000000", "가-00000001", "나"]
    names = [
        "가.png",
        "가.jpg",
        "나.png",
        "A.png",
        "a.png",
        "ﬁn.png",
        "fin.png",
        "a:b.png",
        "a?b.png",
        "x" * 300,
        "x" * 301,
    ]
    assert len({stem.casefold() for stem in stems(*names)}) == len(names)


def test_no_exported_name_is_taken_for_a_mask_when_it_comes_in_again():
    assert stems("가.png", "가_mask.png") == ["가", "0000000100000001"]
