"""Notes on a prompt with their position in what the artist typed."""

from dataclasses import dataclass

from ksh_studio.locales import Sentence, sentence

MOST_NOTES = 8
"""More would hide the first ones; the number of those left out is said."""


@dataclass(frozen=True)
class Note:
    """A warning or hint about a prompt."""

    sentence: Sentence
    position: int
    """Of the character in what was typed, from 0."""
    suggestion: str = ""
    """Text that would say what is probably meant; empty: none."""


def note(key: str, position: int, suggestion: str = "", **values: str) -> Note:
    """The note of this sentence; people count positions from 1."""
    places = {"position": position + 1, "suggestion": suggestion or "-"}
    return Note(sentence(key, **(places | values)), position, suggestion)


class Notes:
    """Collects notes, the first `MOST_NOTES` of them."""

    def __init__(self) -> None:
        self._notes: list[Note] = []
        self._left_out = 0

    def add(self, key: str, position: int, suggestion: str = "", **values: str) -> None:
        """Remember a note."""
        if len(self._notes) < MOST_NOTES:
            self._notes.append(note(key, position, suggestion, **values))
        else:
            self._left_out += 1

    def kept(self) -> tuple[Note, ...]:
        """The notes by position, and how many more there were."""
        notes = sorted(self._notes, key=lambda note: note.position)
        if self._left_out:
            notes.append(note("prompt.more_notes", notes[-1].position, count=str(self._left_out)))
        return tuple(notes)
