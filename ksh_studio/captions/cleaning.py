"""Cleans the text of a captioner: one line, without repetitions, invented artists and words about the medium."""

import re
from typing import Literal

from ksh_studio.project.catalogue import tidy

_MEDIUM = re.compile(
    r"^(?:this is |there is )?(?:(?:an?|the) )?(?:(?:close[- ]?up|black and white|black-and-white|anime|manga|cartoon"
    r"|digital|coloured|colored|pencil|ink|line|vector|hand-drawn|stylized|simple|cute|beautiful) )*"
    r"(?:photo|photograph|picture|image|drawing|painting|illustration|sketch|cartoon|artwork) of ",
    re.IGNORECASE,
)
_ARTIST = re.compile(
    r"[,;]?\s+(?:(?:drawn|painted|illustrated|sketched|created|designed|made|art|artwork) by\s[^,.;]*"
    r"|by (?:the )?artist\s[^,.;]*|(?-i:by [A-Z][\w'-]*(?: [A-Z][\w'-]*)*))",
    re.IGNORECASE,
)
MOST_WORDS = 600
Cleaning = Literal["all", "commas", "none"]


def tidied(text: str, prompt: str, cleaning: Cleaning) -> str:
    """The text on one line: cleaned by `clean` ("all"), without its commas ("commas"), or unchanged ("none")."""
    if cleaning == "all":
        return clean(text, prompt)
    return tidy(text.replace(",", "") if cleaning == "commas" else text)


def clean(text: str, prompt: str = "") -> str:
    """The caption in `text`.

    Removes line breaks, an echo of `prompt`, a leading "a photo of", "drawn by <somebody>", runs of words that repeat
    at once, and phrases between commas that repeat anywhere.
    """
    text = " ".join(tidy(text).split()[:MOST_WORDS])
    if prompt and text.lower().startswith(tidy(prompt).lower()):
        text = text[len(tidy(prompt)) :].lstrip(" ,:;-")
    text = _MEDIUM.sub("", text, count=1)
    text = _ARTIST.sub("", text)
    text = _without_echoes(_without_loops(text.split()))
    return text.strip(" ,;:-").removesuffix(".").rstrip()


def _without_loops(words: list[str]) -> str:
    """`a girl with a girl with a girl` becomes `a girl with a girl`: a run that follows itself is kept once."""
    at = 0
    while at < len(words):
        for size in range((len(words) - at) // 2, 0, -1):
            run = words[at : at + size]
            while words[at + size : at + 2 * size] == run:
                del words[at + size : at + 2 * size]
        at += 1
    return " ".join(words)


def _without_echoes(text: str) -> str:
    """Keep only the first of phrases between commas that are the same."""
    return ", ".join(dict.fromkeys(phrase for phrase in re.split(r",\s*", text) if phrase))
