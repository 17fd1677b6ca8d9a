"""LoRA tags in a prompt: `<lora:name:te:unet:dyn>`, also `<lora:name:te=0.4:unet=1>`."""

import math
import re
from dataclasses import dataclass, replace
from decimal import Decimal

from ksh_studio.generation.prompt.half_width import half_width
from ksh_studio.generation.prompt.notes import Notes
from ksh_studio.generation.prompt.positions import SourceText

OPENING = "<lora:"
TAG = re.compile(r"<lora:([^<>]*+)>")
NUMBER = re.compile(r"\s*+[+-]?(?:\d++(?:\.\d*+)?+|\.\d++)\s*+")
ORDER = ("te", "unet", "dyn")


@dataclass(frozen=True)
class LoraTag:
    """A LoRA tag in a prompt, with the strengths for the text encoder and the UNet."""

    name: str
    te: float = 1.0
    unet: float = 1.0
    dyn: float | None = None
    """The rank that the tag asks for; it is kept in the text but has no effect."""

    def text(self) -> str:
        """The tag as written in a prompt."""
        if self.dyn is not None:
            return f"<lora:{self.name}:{_plain(self.te)}:{_plain(self.unet)}:{_plain(self.dyn)}>"
        if self.te == self.unet:
            return f"<lora:{self.name}:{_plain(self.te)}>"
        return f"<lora:{self.name}:{_plain(self.te)}:{_plain(self.unet)}>"


def take_tags(source: SourceText, notes: Notes, typed: str, negative: bool) -> tuple[SourceText, list[LoraTag]]:
    """Take the tags out of a prompt; return the text without them, and the tags.

    typed: the prompt as it was typed, in which the name of a file keeps its full-width characters.
    Tags in a negative prompt, unclosed tags and those that cannot be read stay in the text, with a note.
    """
    spans, tags = [], []
    closed = 0
    for match in TAG.finditer(source.text):
        closed += 1
        position = source.position(match.start())
        tag = _tag(match.group(1))
        if tag is not None:
            tag = replace(tag, name=_as_typed(tag.name, source, match.start(1), typed))
        if negative:
            notes.add("prompt.lora_in_negative", position)
        elif tag is None:
            notes.add("prompt.lora_unreadable", position, text=match.group()[:60])
        else:
            spans.append(match.span())
            tags.append(tag)
    if source.text.count(OPENING) > closed:
        last = source.text.rfind(OPENING)
        notes.add("prompt.lora_unclosed", source.position(last))
    return source.cut(spans), tags


def _tag(content: str) -> LoraTag | None:
    name, *arguments = content.split(":")
    if not name.strip() or len(arguments) > len(ORDER):
        return None
    values: dict[str, float] = {}
    for place, argument in zip(ORDER, arguments, strict=False):
        key, equals, number = argument.partition("=")
        key, number = (key.strip(), number) if equals else (place, argument)
        if key not in ORDER or not NUMBER.fullmatch(number) or not math.isfinite(float(number)):
            return None
        values[key] = float(number)
    te = values.get("te", 1.0)
    return LoraTag(name.strip(), te, values.get("unet", te), values.get("dyn"))


def _as_typed(name: str, source: SourceText, start: int, typed: str) -> str:
    """The name with the characters that were typed, of which `source` has the half-width forms."""
    start += source.text[start:].index(name)
    at = source.position(start)
    characters = typed[at : at + len(name)]
    return characters if half_width(characters) == name else name


def _plain(number: float) -> str:
    """The number without an exponent, since tags have none."""
    return format(Decimal(repr(number)), "f")
