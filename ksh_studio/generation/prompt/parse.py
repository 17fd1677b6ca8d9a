"""Parses prompts in the syntax of A1111 1.6 and later: weights, escapes, BREAK, LoRA tags, comments.

Parsing takes time linear in the length of the prompt and never raises. Full-width characters and curly quotes are read
as those of ASCII. What is not understood stays in the text, with a note that says where it is. No torch, no tokenizer.
"""

import re
from dataclasses import dataclass, field, replace
from decimal import Decimal

from ksh_studio.generation.prompt.foreign import note_foreign_syntax
from ksh_studio.generation.prompt.half_width import half_width
from ksh_studio.generation.prompt.lora_tags import LoraTag, take_tags
from ksh_studio.generation.prompt.notes import Note, Notes
from ksh_studio.generation.prompt.positions import SourceText
from ksh_studio.generation.prompt.weights import Fragment, weighted_runs
from ksh_studio.locales import Sentence, sentence

HANGUL = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")
COMMENT = re.compile(r"(?<!\\)#[^\n]*+\n?+")
SYNTAX = re.compile(r"[()\[\]\\#]")
WORDS = (
    (re.compile(r"(?<!\w)BREA(?=K(?!\w))"), r"BREA\\"),
    (re.compile(r"\bAN(?=D\b)"), r"AN\\"),
    (re.compile("<lora:"), r"<\\lora:"),
)
"""Words that mean something in a prompt, and what is written in their place to have them as text."""


@dataclass(frozen=True)
class Parsed:
    """A parsed prompt. Two are equal when they give the same picture; their notes may differ."""

    fragments: tuple[Fragment, ...]
    loras: tuple[LoraTag, ...] = ()
    notes: tuple[Note, ...] = field(default=(), compare=False)

    @property
    def weighted(self) -> bool:
        """Whether any text has a weight other than 1."""
        return any(fragment.weight != 1.0 for fragment in self.fragments)

    @property
    def least_chunks(self) -> int:
        """The number of chunks of 75 tokens that its BREAKs alone make; a BREAK at the end begins none."""
        return 1 + sum(fragment.is_break for fragment in self.fragments[:-1])


@dataclass(frozen=True)
class ParsedPrompts:
    """Both prompts of one request."""

    positive: Parsed
    negative: Parsed

    def sentences(self) -> list[Sentence]:
        """What the artist should know about the prompts: first that there is Korean in them, then every note."""
        both = (self.positive, self.negative)
        korean = any(is_korean(fragment.text) for parsed in both for fragment in parsed.fragments)
        notes = [note.sentence for parsed in both for note in parsed.notes]
        return [sentence("prompt.korean"), *notes] if korean else notes


def parse_prompts(prompt: str, negative_prompt: str) -> ParsedPrompts:
    """Both prompts of a request, each parsed once."""
    return ParsedPrompts(parse(prompt), parse(negative_prompt, negative=True))


def parse(text: str, negative: bool = False, comments: bool = True) -> Parsed:
    r"""The prompt's fragments, LoRA tags and notes.

    negative: whether it is a negative prompt, in which LoRA tags are plain text and get a note.
    comments: whether to remove comments, from `#` to the end of the line; `\#` is the character itself.
    """
    source, notes = SourceText(half_width(text)), Notes()
    if comments:
        source = source.without(COMMENT, "\n")
    source, loras = take_tags(source, notes, text, negative)
    note_foreign_syntax(source, notes)
    fragments = _merged(weighted_runs(source, notes))
    return Parsed(tuple(fragments) or (Fragment(""),), tuple(loras), notes.kept())


def render(parsed: Parsed) -> str:
    """A prompt that `parse` turns into the same fragments and tags."""
    parts = [" BREAK " if part.is_break else _rendered(part) for part in parsed.fragments]
    return "".join(parts) + "".join(tag.text() for tag in parsed.loras)


def escaped(text: str) -> str:
    """A prompt that `parse` reads as this very text, as a caption is: no weights, no tags, no comments."""
    text = SYNTAX.sub(r"\\\g<0>", half_width(text))
    for word, as_text in WORDS:
        text = word.sub(as_text, text)
    return text


def is_korean(text: str) -> bool:
    """Whether the text has Hangul in it: Stable Diffusion 1.5 understands English only."""
    return HANGUL.search(text) is not None


def _rendered(fragment: Fragment) -> str:
    text = escaped(fragment.text)
    return text if fragment.weight == 1.0 else f"({text}:{Decimal(repr(fragment.weight)):f})"


def _merged(runs: list[Fragment]) -> list[Fragment]:
    """Join neighbours of equal weight, and remove blanks around BREAK; blank text has weight 1."""
    fragments: list[Fragment] = []
    texts: list[str] = []  # the parts of the last fragment, which `close` joins

    def close() -> None:
        if texts:
            fragments[-1] = replace(fragments[-1], text="".join(texts))
            texts.clear()

    for run in runs:
        if run.is_break:
            close()
            while fragments and not fragments[-1].is_break and not fragments[-1].text.strip():
                fragments.pop()
            if fragments and not fragments[-1].is_break:
                fragments[-1] = replace(fragments[-1], text=fragments[-1].text.rstrip())
            fragments.append(Fragment("", 1.0, True))
            continue
        text = run.text if texts or not fragments or not fragments[-1].is_break else run.text.lstrip()
        if not text:
            continue
        weight = run.weight if text.strip() else 1.0
        if texts and fragments[-1].weight == weight:
            texts.append(text)
        else:
            close()
            fragments.append(Fragment("", weight))
            texts.append(text)
    close()
    return fragments
