"""Every sentence a person reads, in English and Korean, from `assets/locales/<language>/<room>.json`.

A key is `<room>.<name>`: `import.empty_folder` is `empty_folder` in `import.json`. English labels of settings come from
`config.py` itself (title and docstring), so that a setting is defined once; Korean ones are `ko/settings.json`.

`{button:train_tab.resume}` in a sentence is what that button (or field, or choice) is called. `[을/를]` in a Korean one
becomes the form that suits what stands before it: see `particles.py`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from string import Formatter
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ksh_studio import ASSETS
from ksh_studio.config import setting_sentences
from ksh_studio.particles import with_particles

Language = Literal["en", "ko"]
LANGUAGES: tuple[Language, ...] = ("en", "ko")
FOLDER = ASSETS / "locales"
BUTTON = re.compile(r"\{button:([a-z_]+\.[a-z_0-9.]+)\}")


@cache
def sentences(language: Language) -> dict[str, str]:
    """All sentences of one language, by key."""
    texts: dict[str, str] = {}
    if language == "en":
        texts.update(setting_sentences())
    for path in sorted((FOLDER / language).glob("*.json")):
        for name, text in json.loads(path.read_text(encoding="utf-8")).items():
            texts[f"{path.stem}.{name}"] = text
    return {key: _with_buttons(text, texts) for key, text in texts.items()}


def _with_buttons(text: str, texts: Mapping[str, str]) -> str:
    """The text with the names of the buttons it speaks of; ready for the page where it needs no values."""
    named = BUTTON.sub(lambda button: texts[button[1]], text)
    return named if "{" in named else with_particles(named)


def translate(key: str, language: Language = "en", **values: object) -> str:
    """The sentence `key` with `{placeholders}` filled from `values`; English where the language lacks it.

    A value `@key` is itself a sentence of the locales, such as a setting's label.
    Raises KeyError for a key that no language has; the tests find such keys.
    """
    return _filled(key, language, values)


def _filled(key: str, language: Language, values: Mapping[str, object]) -> str:
    text = sentences(language).get(key)
    if text is None:
        text = sentences("en")[key]
    if not values:
        return text
    filled = ""
    for words, name, form, _ in Formatter().parse(text):
        filled += with_particles(words, filled)
        if name is not None:
            filled += format(_resolved(values[name], language), form or "")
    return filled


class Sentence(BaseModel):
    """A sentence of the locales with the values of its placeholders: what errors, warnings, notes and events say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    values: dict[str, str] = {}

    def text(self, language: Language = "en") -> str:
        """The sentence in `language`; of one that only a newer studio knows, its key and values in plain words."""
        try:
            return _filled(self.key, language, self.values)
        except (LookupError, ValueError):  # unknown, or without a value that it needs
            values = ", ".join(f"{name}: {value}" for name, value in self.values.items())
            return translate("ui.unknown_sentence", language, name=self.key, values=f" ({values})" if values else "")


def sentence(key: str, **values: object) -> Sentence:
    """The sentence `key` with these values, each as text that can be written and sent.

    The bytes of a file's name that are no UTF-8 reach Python as lone surrogates, which no file and no page takes.
    """
    return Sentence(key=key, values={name: valid_text(str(value)) for name, value in values.items()})


def valid_text(text: str) -> str:
    """The text with a replacement character for each lone surrogate in it."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first of the names, and how many more there are; the same in every language."""
    more = f", … (+{len(names) - most})" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _resolved(value: object, language: Language) -> object:
    """The sentence that a value `@key` names, else the value."""
    key = value[1:] if isinstance(value, str) and value.startswith("@") else None
    return sentences(language).get(key, value) if key else value
