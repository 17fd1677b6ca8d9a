"""The only place that writes HTML: everything that comes from outside goes through `esc`."""

import html
from collections.abc import Iterable


def esc(text: object) -> str:
    """Text as it may stand in HTML and in a quoted attribute."""
    return html.escape(str(text), quote=True)


def link(address: str, text: str, name: str) -> str:
    """A link that downloads a file."""
    return f'<a class="ksh-link" href="{esc(address)}" download="{esc(name)}">{esc(text)} · {esc(name)}</a>'


def bar(done: float, total: float, text: str) -> str:
    """A progress bar with a sentence under it; no bar without a total."""
    share = 100 * min(1.0, max(0.0, done / total)) if total else 0
    meter = f'<div class="ksh-meter"><div style="width:{share:.1f}%"></div></div>' if total else ""
    return f'<div class="ksh-status" role="status">{meter}<p>{esc(text)}</p></div>'


def note(text: str, kind: str = "plain") -> str:
    """A sentence in a quiet box; kinds: plain, good, bad, warn."""
    return f'<div class="ksh-note ksh-{esc(kind)}" role="status">{esc(text)}</div>'


def notes(parts: Iterable[str]) -> str:
    """Several pieces of HTML made here, one under the other."""
    return "".join(parts)


def chip(text: str, title: str) -> str:
    """A fixed little label."""
    return f'<span class="ksh-chip" title="{esc(title)}">{esc(text)}</span>'


def details(summary: str, text: str) -> str:
    """Lines that open at a click: a log's end."""
    return f"<details class='ksh-details'><summary>{esc(summary)}</summary><pre>{esc(text)}</pre></details>"


def pick(value: str, text: str, about: str = "") -> str:
    """A button inside our own HTML that tells the server `value`: see `assets/js/pick.js`."""
    label = f' aria-label="{esc(about)}"' if about else ""
    return f'<button type="button" class="ksh-pick" data-pick="{esc(value)}"{label}>{esc(text)}</button>'


def figures(rows: Iterable[tuple[str, str, str]]) -> str:
    """A small table of (name, value, what else is to be said), as a list of definitions."""
    return "".join(
        f"<div><dt>{esc(name)}</dt><dd>{esc(value)}{f' <small>{esc(more)}</small>' if more else ''}</dd></div>"
        for name, value, more in rows
    ).join(("<dl class='ksh-figures-table'>", "</dl>"))
