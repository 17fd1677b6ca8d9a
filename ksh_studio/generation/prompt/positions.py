"""A text with parts removed or replaced, which keeps the original positions of its characters."""

import re


class SourceText:
    """A text with parts removed or replaced, which keeps the original positions of its characters."""

    def __init__(self, text: str, cuts: tuple[tuple[int, int], ...] = ()) -> None:
        self.text = text
        self._cuts = cuts
        """(position in `text`, number of characters removed before it), in rising order."""

    def position(self, index: int) -> int:
        """The position that the character at `index` had in the original text."""
        low, high = 0, len(self._cuts)
        while low < high:  # the last cut at or before index
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._cuts[middle][0] <= index else (low, middle)
        return index + (self._cuts[low - 1][1] if low else 0)

    def without(self, pattern: re.Pattern[str], instead: str) -> "SourceText":
        """The text with each match replaced by `instead`."""
        return self.cut([match.span() for match in pattern.finditer(self.text)], instead)

    def cut(self, spans: list[tuple[int, int]], instead: str = "") -> "SourceText":
        """The text with these spans, which must be in order and not overlap, replaced by `instead`."""
        parts, cuts, at, length = [], [], 0, 0
        for start, end in spans:
            parts += [self.text[at:start], instead]
            length += start - at + len(instead)
            cuts.append((length, self.position(end) - length))
            at = end
        merged = sorted([*cuts, *self._moved(spans, cuts)]) if self._cuts else cuts
        return SourceText("".join(parts) + self.text[at:], tuple(merged))

    def _moved(self, spans: list[tuple[int, int]], cuts: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """The earlier cuts at their positions in the new text, without those inside a span, which has its own cut."""
        moved, number = [], 0
        for place, left_out in self._cuts:
            while number < len(spans) and spans[number][1] <= place:
                number += 1
            if number < len(spans) and spans[number][0] < place:
                continue
            shift = spans[number - 1][1] - cuts[number - 1][0] if number else 0
            moved.append((place - shift, left_out + shift))
        return moved
