"""Errors that the artist can understand, and settings checked against their bounds."""

from typing import Any

from pydantic import ValidationError

from ksh_studio.config import ALL_CONFIGS, C
from ksh_studio.locales import Language, sentence


class StudioError(Exception):
    """Something the artist can understand and remedy: a sentence by key, in their language on the page.

    The sentence names the thing, the limit and the remedy.
    """

    def __init__(self, key: str, **values: object) -> None:
        self.sentence = sentence(key, **values)
        super().__init__(self.sentence.text())

    def text(self, language: Language) -> str:
        """The sentence in `language`."""
        return self.sentence.text(language)


# pydantic's kinds of error, by the sentence that says them; the others say which kind of value is asked for.
_SENTENCES = {
    "greater_than": "settings.more_than",
    "greater_than_equal": "settings.at_least",
    "less_than": "settings.less_than",
    "less_than_equal": "settings.at_most",
    "multiple_of": "settings.multiple_of",
    "string_too_long": "settings.too_long",
    "string_too_short": "settings.too_short",
    "literal_error": "settings.one_of",
    "extra_forbidden": "settings.unknown",
    "finite_number": "settings.number",
    "float_parsing": "settings.number",
    "float_type": "settings.number",
    "int_parsing": "settings.whole_number",
    "int_from_float": "settings.whole_number",
    "int_type": "settings.whole_number",
    "shortest_above_longest": "settings.shortest_above_longest",
}


def validated(config: type[C], values: dict[str, Any]) -> C:
    """A config of these values.

    Raises StudioError naming the first setting that is out of its bounds, and the bound.
    """
    try:
        return config.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        stage = next(stage for stage, known in ALL_CONFIGS.items() if issubclass(config, known))
        name = str(first["loc"][0]) if first["loc"] else ""
        known = name in config.model_fields
        context = {name: str(value) for name, value in first.get("ctx", {}).items() if not isinstance(value, Exception)}
        raise StudioError(
            _SENTENCES.get(first["type"], "settings.invalid"),
            name=f"@settings.{stage}.{name}" if known else name[:80],
            value=str(first["input"])[:80],
            limit=", ".join(sorted(set(context.values()))),
            **({} if first["loc"] else context),  # of a check of several settings, whose sentence names them itself
        ) from error
