"""Which of a training's LoRA files to use, and why: from what the job said of its steps (no torch).

Two measures are weighed: the loss on drawings that were held out (does it draw what it never saw?) and the style score
of the previews (do they look like the artist's?). Where they part, the artist is warned.
"""

import statistics
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from ksh_studio.events import Event, LoraSaved, Scored, Validated, valid_events
from ksh_studio.locales import Sentence, sentence

SPAN_SHARE = 0.1
"""Losses closer than this share of all that the loss has moved are taken as equal.

The held-out loss of a style LoRA is nearly flat once the style is there: a few drawings at a few noise levels, where
the next tenth of the way says more about those drawings than about the style. The lowest point alone would be a draw
of lots between neighbours; so among equals the previews decide.
"""
NOISE_TIMES = 2.0
"""Losses closer than this many times the curve's own roughness are taken as equal too."""
SCORE_RISE = 0.05
SCORE_FALL = 0.1
"""Differences of the style score, made of two to four pictures, that mean something."""

Curve = dict[int, float]
"""Value by step."""


@dataclass(frozen=True)
class Recommendation:
    """One saved step, with the reason and, where the measures part, a warning."""

    step: int
    path: str
    """Path of its LoRA file, relative to the project."""
    reason: Sentence
    warning: Sentence | None = None


def recommend(events: Sequence[Event]) -> Recommendation | None:
    """The step to use among those saved; None while none is saved. Events of steps that were lost are ignored.

    Held-out loss first; among steps as good as the lowest the highest style score; without either measure the last.
    """
    events = list(valid_events(events))
    saved = {event.step: event.path for event in events if isinstance(event, LoraSaved)}
    if not saved:
        return None
    losses = {event.step: event.loss for event in events if isinstance(event, Validated)}
    scores = {event.step: event.score for event in events if isinstance(event, Scored)}
    step, reason = _choice(sorted(saved), losses, scores)
    return Recommendation(step, saved[step], reason, _warning(losses, scores))


def _choice(steps: list[int], losses: Curve, scores: Curve) -> tuple[int, Sentence]:
    """The step, and the reason."""
    loss = {step: value for step in steps if (value := at(losses, step)) is not None}
    score = {step: value for step in steps if (value := at(scores, step)) is not None}
    if len(steps) == 1:
        return steps[0], sentence("recommend.only", step=steps[0])
    if not loss and not score:
        return steps[-1], sentence("recommend.last", step=steps[-1])
    if not loss:
        step = max(score, key=score.__getitem__)  # of equal ones the first: it has drawn the drawings less often
        return step, sentence("recommend.score_only", step=step, score=percent(score[step]))
    lowest = min(loss, key=loss.__getitem__)
    equals = [step for step in loss if loss[step] <= loss[lowest] + tolerance(losses) and step in score]
    if not equals:
        return lowest, sentence("recommend.loss_only", step=lowest, loss=figure(loss[lowest]))
    step = max(equals, key=lambda one: (score[one], -loss[one]))
    values = {"step": step, "loss": figure(loss[step]), "score": percent(score[step])}
    if step == lowest:
        return step, sentence("recommend.both", **values)
    return step, sentence("recommend.tie", **values, lowest=figure(loss[lowest]), lowest_step=lowest)


def _warning(losses: Curve, scores: Curve) -> Sentence | None:
    """The warning where loss and score go different ways, or the score falls again; None where neither does."""
    if len(scores) < 2:
        return None
    last, best = max(scores), max(scores, key=scores.__getitem__)
    if scores[best] - scores[last] > SCORE_FALL:
        values = {"step": str(best), "best": percent(scores[best]), "score": percent(scores[last])}
        return sentence("recommend.score_falls", **values)
    if len(losses) < 2:
        return None
    lowest, end = min(losses, key=losses.__getitem__), max(losses)
    then = at(scores, lowest)
    rises = losses[end] - losses[lowest] > tolerance(losses)
    if rises and then is not None and scores[last] - then > SCORE_RISE:
        values = {"step": str(lowest), "lowest": figure(losses[lowest]), "loss": figure(losses[end])}
        return sentence("recommend.overfitting", **values)
    return None


def tolerance(losses: Curve) -> float:
    """Losses that differ by no more than this are as good as each other."""
    values = [losses[step] for step in sorted(losses)]
    if len(values) < 2:
        return 0.0
    return max(SPAN_SHARE * (max(values) - min(values)), NOISE_TIMES * roughness(values))


def roughness(values: list[float]) -> float:
    """Standard deviation of one point's noise, robust, from the curve itself; 0 below seven points.

    From third differences, in which whatever bends no more than a parabola vanishes: those of independent points have
    20 times the variance of one point. Without the first point, the base model's own: the fall from there is no noise.
    """
    curve = values[1:]
    bends = [abs(d - 3 * c + 3 * b - a) for a, b, c, d in zip(curve, curve[1:], curve[2:], curve[3:], strict=False)]
    return 1.4826 * statistics.median(bends) / 20**0.5 if len(bends) >= 3 else 0.0


def at(curve: Curve, step: int) -> float | None:
    """The curve's value at a step, on the line between its neighbours; None before its first and after its last."""
    steps = sorted(curve)
    place = bisect_left(steps, step)
    if step in curve:
        return curve[step]
    if place in (0, len(steps)):
        return None
    before, after = steps[place - 1], steps[place]
    return curve[before] + (curve[after] - curve[before]) * (step - before) / (after - before)


def figure(loss: float) -> str:
    """A loss as people read it."""
    return f"{loss:.4g}"


def percent(score: float) -> str:
    """A style score as a share of the way from the base model to the drawings, without the sign of percent."""
    return f"{score * 100:.0f}"
