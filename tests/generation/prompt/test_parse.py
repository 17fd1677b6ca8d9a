"""The prompt syntax: A1111's from 1.6 on, and what the studio does better."""

import gc
import math
import sys
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ksh_studio.generation.prompt.half_width import half_width
from ksh_studio.generation.prompt.lora_tags import LoraTag
from ksh_studio.generation.prompt.parse import escaped, is_korean, parse, render
from ksh_studio.generation.prompt.positions import SourceText
from ksh_studio.generation.prompt.weights import Fragment
from ksh_studio.locales import LANGUAGES

BREAK = "BREAK"


def fragments(text, **options):
    return [
        BREAK if part.is_break else (part.text, pytest.approx(part.weight, abs=5e-4))
        for part in parse(text, **options).fragments
    ]


def notes(text, **options):
    return [(note.sentence.key.removeprefix("prompt."), note.position) for note in parse(text, **options).notes]


WORKED = [
    (
        "(drawn by KSH drawing style : 1.5), an anime girl, blonde hair, green eyes, school uniform, smile",
        [
            ("drawn by KSH drawing style ", 1.5),
            (", an anime girl, blonde hair, green eyes, school uniform, smile", 1.0),
        ],
    ),
    ("((soft ink lines)), [flat colours]", [("soft ink lines", 1.21), (", ", 1.0), ("flat colours", 0.909)]),
    ("((silver hair:1.2) in moonlight:1.3)", [("silver hair", 1.56), (" in moonlight", 1.3)]),
    (r"saber \(fate\), (archer \(fate\) : 1.1)", [("saber (fate), ", 1.0), ("archer (fate) ", 1.1)]),
    (
        "a fox (with nine tails, [night sky",
        [("a fox ", 1.0), ("with nine tails, ", 1.1), ("night sky", 1.0)],
    ),
    (
        "two sisters BREAK (winter coat BREAK snow : 1.2)",
        [("two sisters", 1.0), BREAK, ("winter coat", 1.2), BREAK, ("snow ", 1.2)],
    ),
    (
        "(rain:1.5.2), (snow:1,5), a] b)",
        [("rain:1.5.2", 1.1), (", ", 1.0), ("snow:1,5", 1.1), (", a] b)", 1.0)],
    ),
    ("(re:zero:1.2)", [("re:zero", 1.2)]),
    ("([a)b]", [("a", 1.0), ("b", 0.909)]),
    (r"a\b \\ \[x\]", [("ab \\ [x]", 1.0)]),
    ("(ink)(wash)", [("inkwash", 1.1)]),
    ("", [("", 1.0)]),
    ("(:3)", [(":3", 1.1)]),
    ("a (:1.5)b", [("a b", 1.0)]),
    ("a (BREAK:1.5) b", [("a", 1.0), BREAK, ("b", 1.0)]),
    ("（a：１.５），b　c、d", [("a", 1.5), (",b c,d", 1.0)]),
    ("it’s “soft”", [('it\'s "soft"', 1.0)]),
    (r"no \# remark", [("no # remark", 1.0)]),
    ("(a:+.5)(b:-1)(c:0)(d:1.)", [("a", 0.5), ("b", -1.0), ("c", 0.0), ("d", 1.0)]),
    ("(a\n:\n1.5\n)b", [("a\n", 1.5), ("b", 1.0)]),
    (r"(a\:1.5)", [("a", 1.5)]),
    ("aBREAKb _BREAK", [("aBREAKb _BREAK", 1.0)]),
    ("BREAK a BREAK BREAK b BREAK", [BREAK, ("a", 1.0), BREAK, BREAK, ("b", 1.0), BREAK]),
    (":(, smile", [(":", 1.0), (", smile", 1.1)]),
    ("{a} <b>", [("{a} <b>", 1.0)]),
    ("ratio 16:9", [("ratio 16:9", 1.0)]),
    ("cat # a remark (x\nsat", [("cat \nsat", 1.0)]),
]


@pytest.mark.parametrize(("text", "expected"), WORKED)
def test_a_worked_example_means_what_the_syntax_says(text, expected):
    assert fragments(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a fox (with nine tails, [night sky", [("unclosed", 6), ("unclosed", 24)]),
        (
            "(rain:1.5.2), (snow:1,5), a] b)",
            [("failed_weight", 0), ("failed_weight", 14), ("stray", 27), ("stray", 30)],
        ),
        ("(a:)", [("failed_weight", 0)]),
        ("(a:1e3)", [("failed_weight", 0)]),
        ("(a:1.5x)", [("failed_weight", 0)]),
        ("(rain:.)", [("failed_weight", 0)]),
        ("(:3)", [("only_weight", 1)]),
        ("x : 1.5", [("bare_weight", 2)]),
        ("time 12:30", [("bare_weight", 7)]),
        ("<lora:ksh", [("lora_unclosed", 0)]),
        ("<lora:ksh:strong>", [("lora_unreadable", 0)]),
        ("a <lora:x> (b", [("unclosed", 11)]),
        ("a # (\n(b", [("unclosed", 6)]),
        ("(soft:1.2), (re:zero), [re:zero], [flat (ink:1.2)], time: now", []),
        ("[pencil:oil:0.25] of", [("schedule_is_text", 0)]),
        ("x [tag: .5 ]", [("schedule_is_text", 2)]),
        ("[(a:1.2)::10] [b|c]", [("schedule_is_text", 0), ("schedule_is_text", 14)]),
        ("a AND b", [("and_is_text", 2)]),
        ("HAND ANDY", []),
        ("embedding:EasyNegative, a girl", [("embedding_is_text", 0)]),
        ("a <lyco:x:1> <hypernet:y:0.5>", [("tag_is_text", 2), ("tag_is_text", 13)]),
        ("{red|blue} hat, {cute}", [("choice_is_text", 0), ("curly_is_text", 16)]),
        ("a __hair colour__ girl", []),
        ("a __hair__ girl, __a/b-c__", [("wildcard_is_text", 2), ("wildcard_is_text", 17)]),
        ("ink++, (wash)--, c+ x-y", [("plus_is_text", 3), ("plus_is_text", 13)]),
        ("【ink】 「wash」", [("bracket_is_text", 0), ("bracket_is_text", 6)]),
        ("（ink：1.2）", []),
        ("a (:1.5)", [("empty_weight", 3)]),
        ("(BREAK:3)", [("empty_weight", 6)]),
    ],
)
def test_a_note_stands_at_its_character(text, expected):
    assert notes(text) == expected


def test_a_failed_weight_comes_with_what_is_meant():
    suggestions = {
        text: parse(text).notes[0].suggestion for text in ("(a:1,5)", "（a：1，5）", "(red fox:1.5.2)", "(a:1e3)")
    }
    assert suggestions == {
        "(a:1,5)": "(a:1.5)",
        "（a：1，5）": "(a:1.5)",
        "(red fox:1.5.2)": "(red fox:1.5)",
        "(a:1e3)": "",
    }


def test_every_note_is_a_sentence_in_both_languages():
    text = "(a:1,5) (:3) ] <lora:x:y> <lora: [" + "(" * 30 + "a:b"
    for language in LANGUAGES:
        sentences = [note.sentence.text(language) for note in parse(text).notes]
        assert len(sentences) == 9  # eight, and how many more there are
        assert all(sentences)
        assert all("{" not in sentence or "\\" in sentence for sentence in sentences)


def test_lora_tags_are_taken_out_with_their_strengths():
    parsed = parse("<lora:ksh:0.8>fox<lora:ksh:0.5:0.9> <lora:a b:te=0.4:unet=1> <lora:x>")
    assert parsed.fragments == (Fragment("fox  "),)
    assert parsed.loras == (
        LoraTag("ksh", 0.8, 0.8),
        LoraTag("ksh", 0.5, 0.9),
        LoraTag("a b", 0.4, 1.0),
        LoraTag("x", 1.0, 1.0),
    )


def test_a_lora_keeps_the_full_width_name_of_its_file():
    assert parse("# x\n<lora：수채화（１）：0.8>").loras == (LoraTag("수채화（１）", 0.8, 0.8),)


CAPTIONS = [
    "artoria pendragon (fate)",
    r"\(fate\), [sketch]",
    "<lora:x:1> girl",
    "a BREAK b AND c # d",
    "（winter） coat",
]


@pytest.mark.parametrize("caption", CAPTIONS)
@given(st.text())
@settings(max_examples=50)
def test_an_escaped_caption_is_read_as_the_words_that_were_trained(caption, more):
    text = caption + more
    parsed = parse(escaped(text))
    assert parsed.fragments == (Fragment(half_width(text)),)
    assert parsed.loras == ()


def test_lora_tags_in_a_negative_prompt_are_text_with_a_note():
    parsed = parse("bad <lora:x:1>", negative=True)
    assert parsed.loras == ()
    assert parsed.fragments == (Fragment("bad <lora:x:1>"),)
    assert [note.sentence.key for note in parsed.notes] == ["prompt.lora_in_negative"]


def test_weights_stay_finite_and_a_cut_is_said():
    for text in ("(a:1e309)", f"(a:{'9' * 400})", "(" * 9000 + "a" + ")" * 9000, "((a:1000):1000)"):
        parsed = parse(text)
        assert all(math.isfinite(part.weight) for part in parsed.fragments)
        assert parsed.notes


@pytest.mark.parametrize(("text", "korean"), [("눈 내리는 fox", True), ("ㅋㅋ", True), ("a fox", False), ("猫", False)])
def test_korean_is_seen(text, korean):
    assert is_korean(text) == korean


SYNTAX = st.lists(
    st.sampled_from(
        ["(", ")", "[", "]", ":", "1.5", ".", "-", "0", " ", "\n", "\\", "BREAK", "AND", "<lora:", "<", ">", "|", "#"]
        + ["a", "fox, ", "：", ",", "_", "B", "REAK", "te=", "é", "눈", "\0", "\u202e", "🦊"]
    )
).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.one_of(SYNTAX, st.text()), st.booleans())
@example("(a )BREAK b", False)
@example("(BREA)(K)", False)
@example("a ()  BREAK", False)
@example("([ ]:3)", False)
@example("<lo\\ra:x>", False)
@example("a\\", False)
def test_any_text_parses_and_its_rendering_means_the_same(text, negative):
    parsed = parse(text, negative=negative)
    assert parsed.fragments
    assert all(math.isfinite(part.weight) for part in parsed.fragments)
    assert all(0 <= note.position <= len(text) for note in parsed.notes)
    assert parse(render(parsed), negative=negative) == parsed


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="abc, :.;!é눈🦊\n", max_size=60))
def test_text_without_syntax_is_kept_to_the_letter(text):
    assert parse(text).fragments == (Fragment(text),)


@given(st.text("ab#\n<>", max_size=30), st.data())
def test_positions_survive_any_cuts(text, data):
    source = SourceText(text)
    kept = list(range(len(text)))
    for _ in range(data.draw(st.integers(0, 3))):
        if not kept:
            break
        start = data.draw(st.integers(0, len(kept) - 1))
        end = data.draw(st.integers(start + 1, len(kept)))
        source = source.cut([(start, end)])
        del kept[start:end]
        assert source.text == "".join(text[n] for n in kept)
        assert [source.position(n) for n in range(len(kept))] == kept


def calls(text):
    """How many functions, Python's and C's, are called to parse a text: the same on every machine."""
    count = 0

    def profile(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        parse(text)
    finally:
        sys.setprofile(None)
    return count


def processor_seconds(text):
    """Processor time of the best of three, without the collector, which walks the objects of all other tests."""
    times = []
    gc.disable()
    for _ in range(3):
        began = time.thread_time()
        parse(text)
        times.append(time.thread_time() - began)
    gc.enable()
    return min(times)


HOSTILE = [
    "(",
    "[",
    ")",
    "([",
    "(a",
    "(a:",
    ":",
    ": ",
    ":1",
    "(:1",
    "(a:1.5)",
    "\\",
    "<lora:",
    "<lora:a>",
    "BREAK ",
    "B",
]
HOSTILE += ["#\n<lora:a>)", "#", "#\n", "((", "(a:1.", "[a:", "[a|", "AND ", "：", " ", ",(", "a(b)", "🦊"]


@pytest.mark.parametrize("piece", HOSTILE)
def test_twice_the_text_takes_twice_the_calls(piece):
    text = piece * (5_000 // len(piece))
    assert calls(text * 2) <= 2.1 * calls(text) + 100


LONG_RUNS = [("", "a"), ("", "1"), (":", " "), (":", "1"), ("(a:", "1"), ("(a:", " "), ("[a:", "1"), ("<lora:a:", "1")]


@pytest.mark.parametrize(("head", "piece"), [*(("", piece) for piece in HOSTILE), *LONG_RUNS])
def test_no_pattern_reads_a_long_text_again_and_again(head, piece):
    """Calls do not show what one search costs: 16 times the text may take about 16 times as long; 256 is quadratic."""
    text = piece * (1_500 // len(piece))
    assert processor_seconds(head + text * 16 + "!") < 64 * processor_seconds(head + text + "!") + 0.002
