from collections.abc import Iterator
from dataclasses import dataclass

import gradio as gr
import pytest

from ksh_studio.ui.access.guard import filling
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.outputs import UNCHANGED, News, Unchanged, by_component, by_name, components, news


@dataclass(frozen=True)
class Card:
    title: str | Unchanged = UNCHANGED
    numbers: dict[str, str] | Unchanged = UNCHANGED


@dataclass(frozen=True)
class CardPlaces:
    title: gr.Textbox
    numbers: dict[str, gr.Textbox]


@pytest.fixture
def places() -> CardPlaces:
    with gr.Blocks():
        return CardPlaces(gr.Textbox(), {"rank": gr.Textbox(), "steps": gr.Textbox()})


def test_an_answer_is_filled_in_by_name_also_into_what_is_nested(places):
    filled = by_component(Card("a", {"steps": "9"}), places)
    assert filled == {places.title: "a", places.numbers["steps"]: "9"}
    assert components(places) == [places.title, places.numbers["rank"], places.numbers["steps"]]


def test_what_is_unchanged_is_not_sent_and_an_empty_answer_skips_everything(places):
    assert by_component(Card(numbers={"rank": "4"}), places) == {places.numbers["rank"]: "4"}
    assert by_name(lambda: Card(), places)() == gr.skip()
    assert by_name(lambda: UNCHANGED, places)() == gr.skip()


def test_an_answer_without_a_place_is_an_error(places):
    with pytest.raises(KeyError):
        by_component({"title": "a", "other": "b"}, places)
    with pytest.raises(TypeError):
        by_component(["a"], places)


def test_a_stream_answers_in_the_same_way(studio, places):
    def count(visit: Visit, most: int) -> Iterator[Card]:
        for number in range(most):
            yield Card(str(number))

    with gr.Blocks():
        fill = filling(studio, "look", count, places)
    assert fill["outputs"] == components(places)
    with gr.Blocks() as page:
        gr.Button().click(inputs=[gr.Number()], **fill)
    assert [list(answer.values()) for answer in by_name(count, places)(None, 2)] == [["0"], ["1"]]
    assert page.fns[0].types_generator


def test_news_makes_nothing_while_the_version_is_the_same_and_then_sends_what_is_new():
    made = []

    def make(title: str) -> Card:
        made.append(title)
        return Card(title, {"rank": "4"})

    first = news({}, (1, "en"), lambda: make("a"))
    assert isinstance(first, News) and first.display == Card("a", {"rank": "4"})
    assert news(first.seen, (1, "en"), lambda: make("b")) is UNCHANGED and made == ["a"]
    second = news(first.seen, (2, "en"), lambda: make("b"))
    assert isinstance(second, News) and second.display == Card("b")
    third = news(second.seen, (3, "en"), lambda: make("b"))
    assert isinstance(third, News) and third.display == Card()
