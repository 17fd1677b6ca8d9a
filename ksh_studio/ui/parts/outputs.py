"""How a handler's answer reaches the components of the page: by name, never by position.

A handler knows nothing of gradio's wiring. One that fills a single component returns its value; one that fills several
returns a frozen dataclass of values, such as `TrainShown(status="…", chart="…")`, or for a settings form a dictionary
from a setting's name to its value. The tab keeps its components in a dataclass with the same field names, or in a
dictionary with the same keys (a `Form`), and `guard.filling` joins the two. What a handler leaves out, or sets to
`UNCHANGED`, stays as it is on the page. Both may be nested: a field may itself be a dataclass or a dictionary.

A handler that updates the page answers with `news(...)`: the one way of saying that there is nothing new.
"""

import functools
import hashlib
import inspect
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import gradio as gr
from gradio.blocks import Block

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

QUIET: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
"""Options of an event that answers at once: no name in the API, no place in the queue, no sign of waiting."""
EACH_TIME: dict[str, Any] = {"trigger_mode": "multiple"}
"""Options of a change that several handlers answer. With gradio's own mode for changes, "always_last", each answer for
which the change came twice sets off all these handlers once more: two changes at nearly the same time never end."""


def in_order(answers: str) -> dict[str, Any]:
    """Options of an event that is asked again while an answer is still on its way, as by somebody who types.

    Gradio sends unqueued calls side by side when the second comes before the first was sent off, in spite of
    `trigger_mode="always_last"`: the older answer could then arrive last, and stay. The queue takes one by one.

    answers: a name for what is answered; events that fill the same places share it.
    """
    return QUIET | {"queue": True, "concurrency_limit": 1, "concurrency_id": answers, "trigger_mode": "always_last"}


Update = dict[str, Any]
"""What `gr.update` returns: other properties of a component than its value, or besides it."""
Handler = Callable[..., Any]


class Unchanged:
    """The component stays as it is."""

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED = Unchanged()


def components(places: object) -> list[Block]:
    """All components of a dataclass or dictionary of components, nested ones included."""
    if isinstance(places, Block):
        return [places]
    return [block for place in _named(places).values() for block in components(place)]


def by_component(answer: object, places: object) -> dict[Block, Any]:
    """The answer of a handler as gradio takes it: `{component: value}`, without what is unchanged.

    Raises KeyError when the answer has a name for which there is no component.
    """
    if isinstance(answer, Unchanged):
        return {}
    if isinstance(places, Block):
        return {places: answer}
    where, filled = _named(places), dict[Block, Any]()
    for name, value in _named(answer).items():
        filled |= by_component(value, where[name])
    return filled


def by_name(handler: Handler, places: object) -> Handler:
    """The handler, or the stream of one, with its answers as `by_component` makes them."""

    def outputs(answer: object) -> dict[Any, Any]:
        return by_component(answer, places) or gr.skip()

    @functools.wraps(handler)
    def values(*given: Any, **named: Any) -> dict[Any, Any]:
        return outputs(handler(*given, **named))

    @functools.wraps(handler)
    def stream(*given: Any, **named: Any) -> Iterator[dict[Any, Any]]:
        for answer in handler(*given, **named):
            yield outputs(answer)

    return stream if inspect.isgeneratorfunction(handler) else values


def visible(yes: bool) -> Update:
    """Show a component, or hide it."""
    return gr.update(visible=yes)


def clicked_value(event: gr.EventData) -> str:
    """The value of a button inside our own HTML that was clicked (see `markup.pick`); empty for anything else."""
    data = event._data
    return str(data.get("value", "")) if isinstance(data, dict) else ""


A = TypeVar("A", bound="DataclassInstance")
S = TypeVar("S")
D = TypeVar("D")


@dataclass(frozen=True)
class News(Generic[S, D]):
    """What a handler that updates the page answers; and the components for it, under the same names."""

    seen: S
    """Fingerprints of what the page shows by now (a dictionary), kept in a `gr.State` until the next call."""
    display: D


def news(
    seen: Mapping[str, str] | None, version: object, make: Callable[[], A], shared: Container[str] = ()
) -> News[dict[str, str], A] | Unchanged:
    """What has changed since the last call: `UNCHANGED`, or the fields of the display that are new.

    seen: what the last call left in the `gr.State`; version: changes when anything that is shown may have changed,
    and is cheap to know; make: makes the whole display, called only for another version; shared: fields that other
    handlers fill too, so that what was sent last says nothing of what stands there: sent with every new version.
    """
    seen, now = seen or {}, _fingerprint(version)
    if seen.get("") == now:
        return UNCHANGED
    prints = {"": now}

    def new(name: str, value: Any) -> Any:
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{key: new(f"{name}.{key}", inner) for key, inner in _named(value).items()})
        prints[name] = _fingerprint(value)
        same = seen.get(name) == prints[name] and name.removeprefix("display.") not in shared
        return UNCHANGED if same else value

    return News(prints, new("display", make()))


def only(
    seen: Mapping[str, str] | None, display: Mapping[str, object]
) -> News[dict[str, str], Mapping[str, object]] | Unchanged:
    """Some parts of the display and nothing else, in place of `news`; the next `news` then shows everything again."""
    now = _fingerprint(display)
    return UNCHANGED if (seen or {}).get("") == now else News({"": now}, display)


def _fingerprint(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()


def _named(values: object) -> dict[str, Any]:
    """Fields of a dataclass, or entries of a dictionary, by name."""
    if is_dataclass(values) and not isinstance(values, type):
        return {field.name: getattr(values, field.name) for field in fields(values)}
    if isinstance(values, Mapping):
        return dict(values)
    raise TypeError(f"neither a component nor a dataclass nor a dictionary: {values!r}")
