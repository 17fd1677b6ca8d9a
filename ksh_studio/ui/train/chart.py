"""The loss of a training as one drawing made on the server: at most 500 points, whatever the length of the run."""

from collections.abc import Sequence
from dataclasses import dataclass

from ksh_studio.jobs.history import JobHistory
from ksh_studio.locales import Language, translate
from ksh_studio.ui.parts.markup import esc
from ksh_studio.ui.parts.thinning import thinned

WIDTH, HEIGHT = 640, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 40, 10, 22
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

    def line(self, name: str, points: Sequence[tuple[float, float]]) -> str:
        shown = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        return f'<polyline class="{name}" points="{shown}"/>' if len(points) > 1 else ""


def loss_chart(history: JobHistory, language: Language, chosen: int | None = None) -> str:
    """The loss so far: faint as measured, strong as averaged, dots on held-out drawings, the learning rate, likeness.

    chosen: the step that is recommended, marked. Empty before the second step.
    """
    points = history.points(LOSS_POINTS)
    if len(points) < 2:
        return ""
    held_out = thinned(history.validated, OTHER_POINTS)
    frame = _frame(points, [event.loss for event in held_out], history.steps[-1].total)
    parts = [
        _axes(frame, bool(history.scored)),
        _mark(frame, chosen),
        _rate(frame, history),
        frame.line("measured", [(frame.x(step), frame.y(mean)) for step, mean, _ in points]),
        frame.line("averaged", [(frame.x(step), frame.y(average)) for step, _, average in points]),
        _dots(frame, "held-out", [(event.step, event.loss, frame.y(event.loss)) for event in held_out]),
        _dots(frame, "likeness", _scores(frame, history)),
    ]
    said = _said(history, language)
    label = translate("train_tab.loss_chart", language, said=" · ".join(text for _, text in said))
    return (
        f'<figure class="ksh-plot"><svg class="ksh-chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{esc(label)}">{"".join(parts)}</svg>{_legend(said)}</figure>'
    )


def _frame(points: list[tuple[int, float, float]], others: list[float], total: int) -> _Frame:
    measured = sorted(mean for _, mean, _ in points)
    usual = measured[: max(2, int(len(measured) * KEPT_SHARE))]
    values = [*usual, *(average for _, _, average in points), *others]
    return _Frame(total, min(values), max(values))


def _axes(frame: _Frame, scored: bool) -> str:
    floor, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    middle = (TOP + floor) / 2
    said = [(14, frame.high), (middle + 3, (frame.high + frame.low) / 2), (floor, frame.low)]
    text = "".join(f'<text x="{LEFT - 6}" y="{y:.0f}" text-anchor="end">{value:.3f}</text>' for y, value in said)
    steps = [(LEFT, "start", 0), ((LEFT + right) / 2, "middle", frame.total // 2), (right, "end", frame.total)]
    text += "".join(
        f'<text x="{x:.0f}" y="{HEIGHT - 6}" text-anchor="{where}">{step}</text>' for x, where, step in steps
    )
    if scored:
        text += f'<text class="likeness" x="{right + 6}" y="14">1</text>'
        text += f'<text class="likeness" x="{right + 6}" y="{floor}">0</text>'
    return f'<path class="grid" d="M{LEFT} {middle}H{right}"/><path d="M{LEFT} {TOP}V{floor}H{right}"/>{text}'


def _mark(frame: _Frame, step: int | None) -> str:
    if step is None:
        return ""
    x = frame.x(step)
    return f'<path class="chosen" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'


def _rate(frame: _Frame, history: JobHistory) -> str:
    """The learning rate on a scale of its own, from 0 to its highest."""
    steps = thinned(history.steps, OTHER_POINTS)
    highest = max(step.learning_rate for step in steps)
    return frame.line("rate", [(frame.x(step.step), frame.y(step.learning_rate, 0.0, highest)) for step in steps])


def _scores(frame: _Frame, history: JobHistory) -> list[tuple[int, float, float]]:
    """Step, score and height; on a scale of its own, from 0 (the base model) to 1 (the drawings themselves)."""
    shown = thinned(history.scored, OTHER_POINTS)
    return [(event.step, event.score, frame.y(min(1.0, max(0.0, event.score)), 0.0, 1.0)) for event in shown]


def _dots(frame: _Frame, name: str, found: list[tuple[int, float, float]]) -> str:
    line = frame.line(name, [(frame.x(step), y) for step, _, y in found])
    return line + "".join(
        f'<circle class="{name}" cx="{frame.x(step):.1f}" cy="{y:.1f}" r="3">'
        f"<title>{step}: {value:.3f}</title></circle>"
        for step, value, y in found
    )


def _said(history: JobHistory, language: Language) -> list[tuple[str, str]]:
    """Every line with its newest value, in words."""
    last = history.steps[-1]
    said = [("measured", f"{last.loss:.4f}"), ("averaged", f"{last.ema_loss:.4f}")]
    said += [("held-out", f"{history.validated[-1].loss:.4f}")] if history.validated else []
    said += [("likeness", f"{history.scored[-1].score:.2f}")] if history.scored else []
    said.append(("rate", f"{last.learning_rate:.2g}"))
    return [(name, f"{translate(f'train_tab.line_{name}', language)} {value}") for name, value in said]


def _legend(said: list[tuple[str, str]]) -> str:
    items = "".join(f'<li><span class="ksh-swatch {name}"></span>{esc(text)}</li>' for name, text in said)
    return f'<figcaption><ul class="ksh-legend">{items}</ul></figcaption>'
