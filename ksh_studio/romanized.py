"""Names in Latin letters for names in any script; Hangul by the Revised Romanization of Korean (2000).

No change of sound between syllables is applied: each syllable is always written the same.
"""

import hashlib
import re
import unicodedata

_INITIALS = "g kk n d tt r m b pp s ss - j jj ch k t p h".split()
_VOWELS = "a ae ya yae eo e yeo ye o wa wae oe yo u wo we wi yu eu ui i".split()
_FINALS = ". k k k n n n t l l l l l l l l m p p t t ng t t k t p t".split()
_PLAIN_FINALS = frozenset((0, 1, 4, 7, 8, 16, 17, 21))
"""The finals ㄱ ㄴ ㄷ ㄹ ㅁ ㅂ ㅇ, and none; the others are written as one of these."""
_FIRST, _LAST = 0xAC00, 0xD7A3
_CHECKSUM_DIGITS = 4


def romanized(text: str) -> str:
    """The text with its Hangul in Latin letters and accents taken off; letters of other scripts stay.

    Where two syllables could be read otherwise, a hyphen stands between them, as in `gang-a` for 강아.
    """
    latin, before = "", ""
    for letter in unicodedata.normalize("NFC", text):
        if not _FIRST <= ord(letter) <= _LAST:
            latin, before = latin + letter, ""
            continue
        index = ord(letter) - _FIRST
        initial, final = _INITIALS[index // 588].strip("-"), _FINALS[index % 28].strip(".")
        if before and (not initial or initial[0] == before[-1]):
            latin += "-"
        latin, before = latin + initial + _VOWELS[index // 28 % 21] + final, final
    decomposed = unicodedata.normalize("NFKD", latin)
    return unicodedata.normalize("NFC", "".join(each for each in decomposed if not unicodedata.combining(each)))


def ascii_name(name: str, most: int, instead: str) -> str:
    """The name in ASCII letters, digits, `_`, `.` and `-`, at most so many; `instead` when nothing can be written so.

    A short checksum follows where letters were lost, or another name would be written alike: two names stay two.
    """
    latin = romanized(name)
    ascii_only = re.sub(r"[^A-Za-z0-9_.-]+", "-", latin).strip("-.") or instead
    cut = len(ascii_only) > most
    if not cut and not any(_is_ambiguous(letter) for letter in unicodedata.normalize("NFC", name)):
        return ascii_only
    checksum = hashlib.sha256(unicodedata.normalize("NFC", name).encode()).hexdigest()[:_CHECKSUM_DIGITS]
    return f"{ascii_only[: most - _CHECKSUM_DIGITS - 1].rstrip('-.')}-{checksum}"


def _is_ambiguous(letter: str) -> bool:
    """Whether the letter is lost in ASCII, or is a syllable with a final that is written as another one."""
    if _FIRST <= ord(letter) <= _LAST:
        return (ord(letter) - _FIRST) % 28 not in _PLAIN_FINALS
    return unicodedata.category(letter)[0] in "LNS" and not romanized(letter).isascii()
