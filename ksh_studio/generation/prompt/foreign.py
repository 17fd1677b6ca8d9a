"""What other programs read in a prompt and the studio does not: it stays text, and a note says so."""

import re

from ksh_studio.generation.prompt.notes import Notes
from ksh_studio.generation.prompt.positions import SourceText

AND = re.compile(r"\bAND\b")
SQUARE = re.compile(r"\[([^\[\]]*+)\]")
SWITCH = re.compile(r":\s*+(?:\d++(?:\.\d*+)?+|\.\d++)\s*+$")
BARE_WEIGHT = re.compile(r":\s*+[+-]?\d++(?:\.\d*+)?+\s*+$")
FOREIGN = {
    "prompt.embedding_is_text": re.compile(r"\bembedding:[^\s,()<>]++"),
    "prompt.tag_is_text": re.compile(r"<(?!lora:)\w++:[^<>]*+>"),
    "prompt.choice_is_text": re.compile(r"\{[^{}|]*+\|[^{}]*+\}"),
    "prompt.wildcard_is_text": re.compile(r"(?<!\w)__(?:(?!__)[\w*/-])++__(?!\w)"),
    "prompt.plus_is_text": re.compile(r"(?<=[\w)\"])(?:\+{2,}+|-{2,}+)(?=[\s,.)]|$)"),
    "prompt.curly_is_text": re.compile(r"\{[^{}|]++\}"),
    "prompt.bracket_is_text": re.compile(r"[【〔「『《〈][^【〔「『《〈】〕」』》〉]*+[】〕」』》〉]"),
}
"""By the note's sentence: ComfyUI's embeddings, tags for other kinds of files, choices and wildcards of Dynamic
Prompts, weights of compel and InvokeAI, weights of NovelAI, and brackets of CJK keyboards that have no meaning."""
LONGEST_QUOTE = 60
"""Characters of the prompt that a note repeats."""


def note_foreign_syntax(source: SourceText, notes: Notes) -> None:
    """Add notes for text that other programs read differently or that is not supported; it stays text."""
    text = source.text
    bare = BARE_WEIGHT.search(text[-40:].rstrip())
    if bare and ")" not in text[-40:]:
        notes.add("prompt.bare_weight", source.position(max(len(text) - 40, 0) + bare.start()))
    for match in AND.finditer(text):
        notes.add("prompt.and_is_text", source.position(match.start()))
    for match in SQUARE.finditer(text):
        if "|" in match.group(1) or SWITCH.search(match.group(1)[-30:]):
            notes.add("prompt.schedule_is_text", source.position(match.start()), text=match.group()[:LONGEST_QUOTE])
    for key, pattern in FOREIGN.items():
        for match in pattern.finditer(text):
            notes.add(key, source.position(match.start()), text=match.group()[:LONGEST_QUOTE])
