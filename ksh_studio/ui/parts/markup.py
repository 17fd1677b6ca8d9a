"""The only place that writes HTML. Whatever is not HTML made here is escaped, wherever it is put in.

`element` makes one element; the functions below it make the blocks that the page is built of. All return `Html`, and
all take either `Html` or plain text as content: plain text, from wherever it comes, is escaped.
"""

import json
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

Html = Markup
"""A string that is HTML already."""


def element(tag: str, *content: object, **attributes: object) -> Html:
    """`<tag attribute="…">content</tag>`.

    attributes: `class_` is `class`, and `data_large` is `data-large`; True stands alone (`open`), None and False are
    left out. Content that is None is left out.
    """
    head = [tag]
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        name = name.rstrip("_").replace("_", "-")
        head.append(name if value is True else f'{name}="{escape(value)}"')
    opening = f"<{' '.join(head)}>"
    if tag in ("img", "input"):
        return Html(opening)
    return Html(f"{opening}{joined(part for part in content if part is not None)}</{tag}>")


def joined(parts: Iterable[object], between: str = "") -> Html:
    """Several pieces, one after the other."""
    return escape(between).join(escape(part) for part in parts)


def link(address: str, text: str, name: str | None = None) -> Html:
    """A link that downloads a file; with `name`, that name is shown and proposed."""
    words = text if name is None else f"{text} · {name}"
    return element("a", words, class_="ksh-link", href=address, download=True if name is None else name)


def folder_icon() -> Html:
    """A drawn folder; not every computer has a letter for it."""
    path = element("path", d="M3.5 6 V18 H20.5 V8 H11.5 L9.5 6 Z")
    return element("svg", path, viewBox="0 0 24 24", aria_hidden="true")


def copy_line(title: str, text: str, copy: str) -> Html:
    """A text under its title, with a button that copies it (`assets/js/sheet.js`) and says `copy`."""
    button = element("button", copy, type="button", class_="ksh-pick", data_copy=text)
    return element("div", element("p", title), element("code", text), " ", button, class_="ksh-copy")


def bar(done: float, total: float, text: str) -> Html:
    """A progress bar with a sentence under it; no bar without a total."""
    share = 100 * min(1.0, max(0.0, done / total)) if total else 0
    meter = element("div", element("div", style=f"width:{share:.1f}%"), class_="ksh-meter") if total else None
    return element("div", meter, element("p", text), class_="ksh-status", role="status")


def note(text: str, kind: str = "plain") -> Html:
    """A sentence in a quiet box; kinds: plain, good, bad, warn."""
    return element("div", text, class_=f"ksh-note ksh-{kind}", role="status")


def notes(parts: Iterable[str]) -> Html:
    """Several blocks, one under the other."""
    return joined(parts)


def small_print(text: object) -> Html:
    """A line in small grey letters."""
    return element("p", text, class_="ksh-figures")


def heading(text: object) -> Html:
    """The title of a block."""
    return element("h4", text)


def chip(text: object, title: str | None = None, kind: str = "") -> Html:
    """A fixed little label; kinds: lora."""
    return element("span", text, class_=f"ksh-chip ksh-{kind}" if kind else "ksh-chip", title=title)


def weighted_chip(text: str, weight: str = "", kind: str = "") -> Html:
    """A little label with a number behind it, or with none ("")."""
    return chip(joined([f"{text} ", element("b", weight)]) if weight else text, kind=kind)


def chips(labels: Iterable[Html]) -> Html:
    """Labels, one beside the other."""
    return element("div", *labels, class_="ksh-chips")


def line(*items: tuple[str, object]) -> Html:
    """One line of sentences, each with something behind it, or with nothing ("")."""
    spans = (element("span", joined([text, " ", behind] if behind else [text])) for text, behind in items)
    return element("p", joined(spans, " "), class_="ksh-about")


def details(summary: str, text: str) -> Html:
    """Lines that open at a click: a log's end."""
    return fold(summary, element("pre", text))


def fold(summary: str, content: object, is_open: bool = False, name: str | None = None) -> Html:
    """A block that opens at a click.

    name: with `assets/js/folds.js` it then stays open, or closed, when it is written anew.
    """
    return element("details", element("summary", summary), content, class_="ksh-details", open=is_open, data_fold=name)


def listing(items: Iterable[object], numbered: bool = False) -> Html:
    """A list with a line between its entries."""
    entries = (element("li", item) for item in items)
    return element("ol" if numbered else "ul", *entries, class_="ksh-files")


def entry(name: object, more: str, *buttons: object) -> Html:
    """One entry of a `listing`: a name with something small beside it, and buttons at the end of the line."""
    return joined([element("span", name, " ", element("small", more)), *buttons])


def value_button(value: str, text: str, about: str | None = None) -> Html:
    """A button inside our own HTML that tells the server `value`: see `assets/js/pick.js`."""
    attributes = {"type": "button", "class_": "ksh-pick", "data_pick": value, "aria_label": about}
    return element("button", text, **attributes)


def picture_button(address: str, label: str, value: str | None = None, large: str | None = None) -> Html:
    """A picture that can be clicked: it tells the server `value`, or without one it is shown large by the browser.

    large: what is then shown, where that is another file.
    """
    image = element("img", src=address, alt="" if value is None else label, loading="lazy")
    attributes = {"type": "button", "class_": "ksh-picture", "title": label, "aria_label": label}
    shown = (large or address) if value is None else None
    return element("button", image, data_pick=value, data_large=shown, **attributes)


def slider(label: str, values: Sequence[int], names: Sequence[str]) -> Html:
    """A slider over values, each with a name, that stands at the last; see `assets/js/previews.js`."""
    last = len(values) - 1
    lists = {"data_values": json.dumps(list(values)), "data_names": json.dumps(list(names), ensure_ascii=False)}
    place = element("input", type="range", min=0, max=last, value=last, aria_valuetext=names[last], **lists)
    return element("label", element("span", label), place, element("output", names[last]), class_="ksh-slider")


def picture_grid(pictures: Iterable[tuple[str, str]]) -> Html:
    """Pictures as (name, address), each a button that tells the server its name."""
    cells = (picture_button(address, name, value=name) for name, address in pictures)
    return element("div", *cells, class_="ksh-gallery")


def large_picture(address: str, name: str, text: str, download: str) -> Html:
    """A picture with a text under it, and a link that downloads it; `name` may begin with its folder."""
    image = element("img", src=address, alt=name)
    return element(
        "div", image, element("pre", text), link(address, download, name.rpartition("/")[2]), class_="ksh-large"
    )


def figures(rows: Iterable[tuple[str, str, str]]) -> Html:
    """A small table of (name, value, what else is to be said), as a list of definitions."""
    lines = []
    for name, value, more in rows:
        small = joined([" ", element("small", more)]) if more else None
        lines.append(element("div", element("dt", name), element("dd", value, small)))
    return element("dl", *lines, class_="ksh-figures-table")
