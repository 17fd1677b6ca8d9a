"""The loss of a training as one drawing made on the server: at most 500 points, whatever the length of the run."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ksh_studio.jobs.history import JobHistory
from ksh_studio.locales import Language, translate
from ksh_studio.ui.parts.markup import Html, element, fold, heading, joined, notes
from ksh_studio.ui.parts.thinning import thinned

WIDTH, HEIGHT = 640, 258
LEFT, RIGHT, TOP, BOTTOM = 46, 40, 24, 36
LOSS_POINTS, OTHER_POINTS = 190, 40
"""Most points of the measured and of the averaged loss; of each other line. 2 · 190 + 3 · 40 = 500."""
KEPT_SHARE = 0.98
"""A few wild losses at the start would press everything else flat: the scale ends where this share of them does."""


@dataclass(frozen=True)
class _Frame:
    """Where a step and a loss lie in the drawing."""

    total: int
    low: float
    high: float

    def x(self, step: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / max(1, self.total)

    def y(self, value: float, low: float | None = None, high: float | None = None) -> float:
        """`low`, `high`: of a line with a scale of its own."""
        low, high = (self.low, self.high) if low is None or high is None else (low, high)
        share = (min(value, high) - low) / ((high - low) or 1.0)
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)

    def line(self, name: str, points: Sequence[tuple[float, float]]) -> Html | None:
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        return element("polyline", class_=name, points=places) if len(points) > 1 else None


def loss_chart(history: JobHistory, language: Language, recommended: int | None = None) -> str:
    """The loss so far: faint as measured, strong as averaged, dots on held-out drawings, the learning rate, likeness.

    recommended: the step that is recommended, marked. Empty before the second step.
    """
    points = history.points(LOSS_POINTS)
    if len(points) < 2:
        return ""
    held_out = thinned(history.validated, OTHER_POINTS)
    frame = _frame(points, [event.loss for event in held_out], history.steps[-1].total)
    parts = [
        _axes(frame, bool(history.scored), language),
        _mark(frame, recommended),
        _rate(frame, history),
        frame.line("measured", [(frame.x(step), frame.y(mean)) for step, mean, _ in points]),
        frame.line("averaged", [(frame.x(step), frame.y(average)) for step, _, average in points]),
        _dots(frame, "held-out", [(event.step, event.loss, frame.y(event.loss)) for event in held_out]),
        _dots(frame, "likeness", _scores(frame, history)),
    ]
    lines = _newest_values(history, language)
    label = translate("train_tab.loss_chart", language, said=" · ".join(text for _, text in lines))
    pointer = element("path", class_="pointer", hidden=True)
    box = {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img", "aria_label": label}
    chart = element("svg", *parts, pointer, class_="ksh-chart", **box, **_values(frame, points, language))
    return element("figure", chart, element("p", class_="ksh-reading"), _legend(lines), class_="ksh-plot")


def details(history: JobHistory, language: Language, recommended: int | None, log_lines: str = "") -> str:
    """The chart and the end of the log, folded; empty while there is neither."""
    chart = loss_chart(history, language, recommended)
    log = [heading(translate("ui.last_lines", language)), element("pre", log_lines)] if log_lines else []
    return fold(translate("train_tab.details", language), notes([chart, *log]), name="chart") if chart or log else ""


def _values(frame: _Frame, points: list[tuple[int, float, float]], language: Language) -> dict[str, str]:
    """For `assets/js/chart.js`: (x, step, loss, averaged loss) of each point, and the names of the values."""
    rows = ((frame.x(step), step, mean, average) for step, mean, average in points)
    values = [[round(x, 1), step, round(mean, 5), round(average, 5)] for x, step, mean, average in rows]
    keys = ("axis_step", "line_measured", "line_averaged")
    names = [translate(f"train_tab.{key}", language) for key in keys]
    return {"data_points": json.dumps(values), "data_names": json.dumps(names, ensure_ascii=False)}


def _frame(points: list[tuple[int, float, float]], others: list[float], total: int) -> _Frame:
    measured = sorted(mean for _, mean, _ in points)
    usual = measured[: max(2, int(len(measured) * KEPT_SHARE))]
    values = [*usual, *(average for _, _, average in points), *others]
    return _Frame(total, min(values), max(values))


def _axes(frame: _Frame, scored: bool, language: Language) -> Html:
    """Both axes with their names and values, and the scale of the likeness at the right."""
    floor, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    middle = (TOP + floor) / 2
    losses = [(TOP + 4, frame.high), (middle + 3, (frame.high + frame.low) / 2), (floor, frame.low)]
    steps = [(LEFT, "start", 0), ((LEFT + right) / 2, "middle", frame.total // 2), (right, "end", frame.total)]
    parts = [
        element("path", class_="grid", d=f"M{LEFT} {middle}H{right}"),
        element("path", d=f"M{LEFT} {TOP}V{floor}H{right}"),
        *(element("text", f"{loss:.3f}", x=LEFT - 6, y=f"{y:.0f}", text_anchor="end") for y, loss in losses),
        *(element("text", step, x=f"{x:.0f}", y=floor + 14, text_anchor=anchor) for x, anchor, step in steps),
    ]
    names = [("line_measured", LEFT, 12, "start"), ("axis_step", (LEFT + right) / 2, HEIGHT - 5, "middle")]
    parts += [
        element("text", translate(f"train_tab.{name}", language), class_="axis", x=f"{x:.0f}", y=y, text_anchor=anchor)
        for name, x, y, anchor in names
    ]
    if scored:
        likeness = translate("train_tab.line_likeness", language)
        parts += [element("text", n, class_="likeness", x=right + 6, y=y) for n, y in ((1, TOP + 4), (0, floor))]
        parts.append(element("text", likeness, class_="likeness axis", x=right, y=12, text_anchor="end"))
    return joined(parts)


def _mark(frame: _Frame, step: int | None) -> Html | None:
    if step is None:
        return None
    return element("path", class_="chosen", d=f"M{frame.x(step):.1f} {TOP}V{HEIGHT - BOTTOM}")


def _rate(frame: _Frame, history: JobHistory) -> Html | None:
    """The learning rate on a scale of its own, from 0 to its highest."""
    steps = thinned(history.steps, OTHER_POINTS)
    highest = max(step.learning_rate for step in steps)
    return frame.line("rate", [(frame.x(step.step), frame.y(step.learning_rate, 0.0, highest)) for step in steps])


def _scores(frame: _Frame, history: JobHistory) -> list[tuple[int, float, float]]:
    """Step, score and height; on a scale of its own, from 0 (the base model) to 1 (the drawings themselves)."""
    scores = thinned(history.scored, OTHER_POINTS)
    return [(event.step, event.score, frame.y(min(1.0, max(0.0, event.score)), 0.0, 1.0)) for event in scores]


def _dots(frame: _Frame, name: str, points: list[tuple[int, float, float]]) -> Html:
    """A line with a dot at each point: (step, value, height)."""
    parts = [frame.line(name, [(frame.x(step), y) for step, _, y in points]) or ""]
    for step, value, y in points:
        title = element("title", f"{step}: {value:.3f}")
        parts.append(element("circle", title, class_=name, cx=f"{frame.x(step):.1f}", cy=f"{y:.1f}", r=3))
    return joined(parts)


def _newest_values(history: JobHistory, language: Language) -> list[tuple[str, str]]:
    """Every line by name, with its newest value in words."""
    last = history.steps[-1]
    values = [("measured", f"{last.loss:.4f}"), ("averaged", f"{last.ema_loss:.4f}")]
    values += [("held-out", f"{history.validated[-1].loss:.4f}")] if history.validated else []
    values += [("likeness", f"{history.scored[-1].score:.2f}")] if history.scored else []
    values.append(("rate", f"{last.learning_rate:.2g}"))
    return [(name, f"{translate(f'train_tab.line_{name}', language)} {value}") for name, value in values]


def _legend(lines: list[tuple[str, str]]) -> Html:
    items = (element("li", element("span", class_=f"ksh-swatch {name}"), text) for name, text in lines)
    return element("figcaption", element("ul", *items, class_="ksh-legend"))
