"""Korean particles, of which some have two forms: one after a final consonant, the other after a vowel.

Which of them a sentence needs is not known before its values are: `{name}[을/를]` becomes "a.png를" or "그림을".
What is written in digits and Latin letters is taken as it is read aloud in Korean.
"""

import re

MARK = re.compile(r"\[([가-힣]+)/([가-힣]+)\]")
"""The form after a final consonant, then the one after a vowel."""
AFTER_EITHER = ("으로", "로")
"""A particle whose second form also follows ㄹ."""
FIRST_SYLLABLE, LAST_SYLLABLE, FINALS = 0xAC00, 0xD7A3, 28
FINAL_RIEUL = 8
"""Place of ㄹ among the 28 final consonants of a syllable, of which the first is none."""
OTHER_FINAL = 1
DIGITS = {"0": OTHER_FINAL, "1": FINAL_RIEUL, "3": OTHER_FINAL, "6": OTHER_FINAL, "7": FINAL_RIEUL, "8": FINAL_RIEUL}
"""영, 일, 삼, 육, 칠, 팔; 십, 백, 천 and 만 end in another consonant, as 영 does. The other digits end in a vowel."""
LETTERS = {"l": FINAL_RIEUL, "m": OTHER_FINAL, "n": OTHER_FINAL}
"""엘, 엠, 엔: the letters whose names end in a consonant."""
VOWELS = frozenset("aeiouy")


def with_particles(text: str, before: str = "") -> str:
    """The text with the right form in place of each mark; before: what stands in front of it."""
    parts, end = [], 0
    for mark in MARK.finditer(text):
        parts.append(text[end : mark.start()])
        parts.append(_form(before + "".join(parts), mark[1], mark[2]))
        end = mark.end()
    return "".join([*parts, text[end:]])


def _form(words: str, after_consonant: str, after_vowel: str) -> str:
    final = _final(words)
    if final is None and after_consonant.endswith(after_vowel):
        return f"({after_consonant.removesuffix(after_vowel)}){after_vowel}"
    if final is None:
        return f"{after_consonant}({after_vowel})"
    soft = final == FINAL_RIEUL and (after_consonant, after_vowel) == AFTER_EITHER
    return after_vowel if final == 0 or soft else after_consonant


def _final(words: str) -> int | None:
    """The final consonant of the last syllable as it is read: 0 for none; None for a script that is not known."""
    if re.search(r"%[^\w%]*$", words):  # 퍼센트
        return 0
    last = re.search(r"[^\W_]+[\W_]*$", words)
    if last is None:
        return None
    word = re.sub(r"[\W_]+$", "", last[0])
    letter = word[-1]
    if FIRST_SYLLABLE <= ord(letter) <= LAST_SYLLABLE:
        return (ord(letter) - FIRST_SYLLABLE) % FINALS
    if letter.isdecimal():
        return DIGITS.get(str(int(letter)), 0)
    if letter.isascii():
        return _latin_final(re.split(r"[^A-Za-z]", word)[-1])
    return None


def _latin_final(word: str) -> int:
    """As Korean spells foreign words; letter by letter where it is no word: in capitals, or without a vowel."""
    lower = word.lower()
    if len(word) == 1 or word.isupper() or not VOWELS & set(lower):
        return LETTERS.get(lower[-1], 0)
    if lower.endswith(("l", "le")):  # 모델, 파일, 애플
        return FINAL_RIEUL
    if re.search(r"([mn]|ng)$", lower) or re.search(r"[aeiouy][mn]e$", lower):  # 폼, 라인, 네임
        return OTHER_FINAL
    if re.search(r"([^aeiouy]|^)([aeiouy]|oo)(ck|[bcpkt])$", lower):  # 포켓, 백업, 웹, 북; but 노트, 포인트
        return OTHER_FINAL
    return 0
