"""Notes about a prompt, each with its position in the text that the artist typed."""

from dataclasses import dataclass

from ksh_studio.locales import Sentence, sentence

MOST_NOTES = 8
"""Further notes are only counted: the last note says how many there are."""


@dataclass(frozen=True)
class Note:
    """A warning or hint about a prompt."""

    sentence: Sentence
    position: int
    """Index of the character in the typed text, from 0."""
    suggestion: str = ""
    """The text that was probably meant; empty when there is no suggestion."""


def note(key: str, position: int, suggestion: str = "", **values: str) -> Note:
    """A note with this sentence, in which the position counts from 1."""
    places = {"position": position + 1, "suggestion": suggestion or "-"}
    return Note(sentence(key, **(places | values)), position, suggestion)


class Notes:
    """Collects notes, the first `MOST_NOTES` of them."""

    def __init__(self) -> None:
        self._notes: list[Note] = []
        self._left_out = 0

    def add(self, key: str, position: int, suggestion: str = "", **values: str) -> None:
        """Add a note, or count it when there are too many."""
        if len(self._notes) < MOST_NOTES:
            self._notes.append(note(key, position, suggestion, **values))
        else:
            self._left_out += 1

    def kept(self) -> tuple[Note, ...]:
        """The notes in the order of their positions; the last says how many were left out, if any were."""
        notes = sorted(self._notes, key=lambda note: note.position)
        if self._left_out:
            notes.append(note("prompt.more_notes", notes[-1].position, count=str(self._left_out)))
        return tuple(notes)
