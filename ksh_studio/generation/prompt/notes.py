"""Notes on a prompt with their position in what the artist typed."""

from dataclasses import dataclass, field

from ksh_studio.locales import Language, translate

MOST_NOTES = 8
"""More would hide the first ones; the number of those left out is said."""


@dataclass(frozen=True)
class Note:
    """A warning or hint: sentence by key, character position in the typed prompt, and what might be meant."""

    key: str
    position: int
    values: dict[str, str] = field(default_factory=dict)
    suggestion: str = ""
    """Text that would say what is probably meant; empty: none."""

    @property
    def spoken(self) -> dict[str, str]:
        """Values of the sentence; positions are counted from 1."""
        return {"position": str(self.position + 1), "suggestion": self.suggestion or "-", **self.values}

    def text(self, language: Language = "en") -> str:
        """The sentence in `language`."""
        return translate(self.key, language, **self.spoken)


class Notes:
    """Collects notes, the first `MOST_NOTES` of them."""

    def __init__(self) -> None:
        self._found: list[Note] = []
        self._left_out = 0

    def add(self, key: str, position: int, suggestion: str = "", **values: str) -> None:
        """Remember a note."""
        if len(self._found) < MOST_NOTES:
            self._found.append(Note(key, position, values, suggestion))
        else:
            self._left_out += 1

    def kept(self) -> tuple[Note, ...]:
        """The notes by position, and how many more there were."""
        found = sorted(self._found, key=lambda note: note.position)
        if self._left_out:
            found.append(Note("prompt.more_notes", found[-1].position, {"count": str(self._left_out)}))
        return tuple(found)
