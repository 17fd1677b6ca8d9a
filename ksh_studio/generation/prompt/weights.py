"""Finds the weights that brackets give: `(x)` 1.1, `[x]` 1 / 1.1, `(x:1.5)` 1.5, nested ones multiplied; and BREAK.

Round and square brackets are matched independently of each other. The weight of a run of text is the product of the
factors of all brackets around it. A factor is known only when its bracket closes, so the weights are computed in a
second pass; the time is linear in the length of the text, however deep the nesting.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

from ksh_studio.generation.prompt.notes import Notes
from ksh_studio.generation.prompt.positions import SourceText

STRONGER = 1.1
HEAVIEST = 1000.0
"""Larger weights are limited to this, with a note, because half precision overflows not far above."""
ESCAPABLE = "()[]\\"
WEIGHT = re.compile(r":\s*+([+-]?(?:\d++(?:\.\d*+)?+|\.\d++))\s*+\)")
WORD_BREAK = re.compile(r"(?<!\w)BREAK(?!\w)")
PLAIN = re.compile(r"[^()\[\]\\:B]++")
TRIED = re.compile(r":\s*+([+-]?[\d.,][^:()\[\]]*+|)$")
FACE = re.compile(r":\d\)")
"""An emoticon such as `:3`, which only looks like a weight."""
NUMBER_IN = re.compile(r"[+-]?(?:\d++(?:[.,]\d++)?+|\.\d++)(?!e)")
Stack = Literal["(", "["]


@dataclass(frozen=True)
class Fragment:
    """A run of text with one weight, or a BREAK (which closes a chunk; its text is empty)."""

    text: str
    weight: float = 1.0
    is_break: bool = False


@dataclass(slots=True)
class _Bracket:
    stack: Stack
    position: int
    factor: float
    letters_before: int
    """How many characters other than blanks came before it, which shows at its end whether it is empty."""
    breaks_before: int


@dataclass(frozen=True, slots=True)
class _Mark:
    """The place between two texts where a bracket opens or closes."""

    bracket: _Bracket
    opens: bool


_Piece = str | _Mark | None
"""Text, a place where a bracket opens or closes, or None for BREAK."""


def weighted_runs(source: SourceText, notes: Notes) -> list[Fragment]:
    """The runs of text in order, with escapes resolved and finite weights. Never raises."""
    pieces = _Scanner(source, notes).scan()
    weights: dict[Stack, list[float]] = {"(": [1.0], "[": [1.0]}
    runs, cut = [], False
    for piece in pieces:
        if piece is None:
            runs.append(Fragment("", 1.0, True))
        elif isinstance(piece, str):
            weight = weights["("][-1] * weights["["][-1]
            cut = cut or abs(weight) > HEAVIEST
            runs.append(Fragment(piece, max(-HEAVIEST, min(HEAVIEST, weight))))
        elif piece.opens:
            stack = weights[piece.bracket.stack]
            product = stack[-1] * piece.bracket.factor
            stack.append(product if math.isfinite(product) else math.copysign(1e300, product))
        else:
            weights[piece.bracket.stack].pop()
    if cut:
        notes.add("prompt.too_heavy", source.position(0), limit=f"{HEAVIEST:.0f}")
    return runs


class _Scanner:
    """One pass over the text, left to right."""

    def __init__(self, source: SourceText, notes: Notes) -> None:
        self.source, self.text, self.notes = source, source.text, notes
        self.pieces: list[_Piece] = []
        self.buffer: list[str] = []
        self.letters = 0
        self.breaks = 0
        self.open: dict[Stack, list[_Bracket]] = {"(": [], "[": []}

    def scan(self) -> list[_Piece]:
        at = 0
        while at < len(self.text):
            at = self._next(at)
        self._flush()
        for bracket in self.open["("] + self.open["["]:
            self.notes.add("prompt.unclosed", self.source.position(bracket.position), bracket=bracket.stack)
        return self.pieces

    def _next(self, at: int) -> int:
        """Read the piece that begins at `at`; return the position after it."""
        letter = self.text[at]
        if letter == "\\":
            return self._escape(at)
        if letter in "([":
            self._begin("(" if letter == "(" else "[", at)
            return at + 1
        if letter in ")]":
            self._end(letter, at)
            return at + 1
        if letter == ":" and (match := WEIGHT.match(self.text, at)) and self._weigh(match):
            return match.end()
        if letter == "B" and WORD_BREAK.match(self.text, at):
            self._flush()
            self.pieces.append(None)
            self.breaks += 1
            return at + len("BREAK")
        match = PLAIN.match(self.text, at)
        return self._keep(match.group() if match else letter, at)

    def _keep(self, text: str, at: int) -> int:
        self.buffer.append(text)
        self.letters += len(text.strip())
        return at + len(text)

    def _escape(self, at: int) -> int:
        """Keep a bracket or backslash after a backslash as text; drop any other backslash."""
        following = self.text[at + 1 : at + 2]
        if following and following in ESCAPABLE:
            self._keep(following, at)
            return at + 2
        return at + 1

    def _begin(self, stack: Stack, at: int) -> None:
        factor = STRONGER if stack == "(" else 1 / STRONGER
        bracket = _Bracket(stack, at, factor, self.letters, self.breaks)
        self._mark(bracket, opens=True)
        self.open[stack].append(bracket)

    def _end(self, letter: str, at: int) -> None:
        stack: Stack = "(" if letter == ")" else "["
        if not self.open[stack]:
            self.notes.add("prompt.stray", self.source.position(at), bracket=letter)
            self._keep(letter, at)
            return
        bracket = self.open[stack].pop()
        if stack == "(":
            self._note_failed_weight(bracket, at)
        self._mark(bracket, opens=False)

    def _weigh(self, match: re.Match[str]) -> bool:
        """Close the innermost round bracket with a weight; return False when the match is text and no weight."""
        if not self.open["("]:
            return False
        bracket, number = self.open["("][-1], float(match.group(1))
        if bracket.letters_before == self.letters:
            is_face = FACE.fullmatch(match.group()) and bracket.breaks_before == self.breaks
            key = "prompt.only_weight" if is_face else "prompt.empty_weight"
            self.notes.add(key, self.source.position(match.start()), text=match.group()[:20])
            if is_face:
                return False
        if not math.isfinite(number):
            self.notes.add("prompt.failed_weight", self.source.position(bracket.position), text=match.group()[1:20])
            return False
        bracket.factor = number
        self._mark(self.open["("].pop(), opens=False)
        return True

    def _mark(self, bracket: _Bracket, opens: bool) -> None:
        self._flush()
        self.pieces.append(_Mark(bracket, opens))

    def _flush(self) -> None:
        if self.buffer:
            self.pieces.append("".join(self.buffer))
            self.buffer = []

    def _note_failed_weight(self, bracket: _Bracket, at: int) -> None:
        """Add a note when a bracket ends in something like a weight that cannot be read, with a suggestion."""
        inside = self.text[max(bracket.position + 1, at - 40) : at]
        tried = TRIED.search(inside)
        head = inside[: tried.start()].rstrip() if tried else ""
        if not tried or not head:
            return
        number = NUMBER_IN.match(tried.group(1))
        suggestion = f"({head}:{number.group().replace(',', '.')})" if number else ""
        self.notes.add("prompt.failed_weight", self.source.position(bracket.position), suggestion, text=inside)
