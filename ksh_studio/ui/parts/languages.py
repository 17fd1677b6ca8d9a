"""English and Korean on the page: static texts by gradio's own translation, the server's sentences by a cookie.

Gradio 6 translates static texts in the browser (`gr.I18n`), from the browser's language, and re-translates them all
when its frontend's `changeLocale` is called: the switch calls that one, keeps everything typed, and leaves the choice
in a cookie, by which the next visit begins and by which the server chooses its sentences.
"""

import json
from functools import cache
from pathlib import Path

import gradio as gr
from gradio.blocks import Block
from gradio.i18n import I18nData
from starlette.requests import Request

from ksh_studio import ASSETS
from ksh_studio.locales import LANGUAGES, Language, sentences
from ksh_studio.ui.parts.outputs import Update

TRANSLATED = "__i18n__"
"""With this a text of `page_text` begins when it stands inside another, as in a Markdown's value."""
LANGUAGE_COOKIE = "ksh_language"
SCRIPTS = ASSETS / "js"
FRONTEND = Path(gr.__file__).parent / "templates" / "frontend" / "assets"


def page_text(key: str) -> I18nData:
    """The text `key` as the browser will show it, in whatever language it is switched to."""
    if key not in sentences("en"):
        raise KeyError(key)
    return I18nData(key)


def has_translated_value(block: Block) -> bool:
    """Whether the component's value, such as a button's name, is a text of `page_text`.

    Gradio keeps what such a value stands for only until something else of the component, or of one around it, is
    updated from the server: it then takes the words on the page for the value. So the server sends these values
    again when another language is chosen.
    """
    value = getattr(block, "value", None)
    return isinstance(value, I18nData) or (isinstance(value, str) and TRANSLATED in value)


def first_value(block: Block) -> Update:
    """The component's value as it was built."""
    return gr.update(value=getattr(block, "value", None))


def page_texts() -> gr.I18n:
    """Every static text of the page for `launch(i18n=...)`; texts with placeholders are made on the server instead."""
    by_language: dict[str, dict[str, str]] = {}
    for language in LANGUAGES:
        texts = sentences("en") | sentences(language)
        # On the page nobody types None: the field is left empty.
        by_language[language] = {key: _empty(text) for key, text in texts.items() if "{" not in text}
    return gr.I18n(**by_language)


def _empty(text: str) -> str:
    return text.replace("; None:", "; empty:").replace("None:", "Empty:")


def language_of(request: gr.Request | Request) -> Language:
    """The language chosen on the page, else the first of those the browser asks for that the studio has."""
    cookie = dict(request.cookies or {}).get(LANGUAGE_COOKIE)
    for language in LANGUAGES:
        if cookie == language:
            return language
    for preferred in str(dict(request.headers).get("accept-language", "")).split(","):
        for language in LANGUAGES:
            if preferred.strip().lower().startswith(language):
                return language
    return "en"


def texts_for(prefix: str) -> dict[str, dict[str, str]]:
    """Texts of one room and prefix by language, for scripts of our own: `{"en": {"save": ...}, "ko": {...}}`."""
    return {
        language: {key[len(prefix) :]: text for key, text in sentences(language).items() if key.startswith(prefix)}
        for language in LANGUAGES
    }


@cache
def frontend_module() -> str:
    """Name of gradio's script that exports `changeLocale`; empty where this gradio has none (the page then reloads)."""
    for path in sorted(FRONTEND.glob("core-*.js")):
        if "as changeLocale" in path.read_text(encoding="utf-8"):
            return path.name
    return ""


def script(name: str, **values: object) -> str:
    """A script of `assets/js` with its `__NAME__` marks replaced."""
    text = (SCRIPTS / name).read_text(encoding="utf-8")
    for mark, value in values.items():
        text = text.replace(f"__{mark.upper()}__", str(value))
    return text


def json_texts(prefix: str) -> str:
    """`texts_for(prefix)` as it may stand inside a script."""
    return json.dumps(texts_for(prefix), ensure_ascii=False).replace("<", "\\u003c")
