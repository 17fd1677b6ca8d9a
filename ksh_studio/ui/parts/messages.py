"""The page's one place for messages: what was refused, what was done without another sign of it, a lost connection.

A refusal is the answer to a call, and `assets/js/answers.js` reads it there. What a handler says after it has done
something goes to the component of `message_place`. Each message holds every language, so that it stays when another
language is chosen.
"""

import json
import time

import gradio as gr

from ksh_studio.locales import LANGUAGES, Sentence
from ksh_studio.ui.parts.languages import json_texts, script
from ksh_studio.ui.parts.theme import html

Texts = dict[str, str]
"""One sentence by language."""


def message_place() -> gr.HTML:
    """Build the place, and the scripts that say what is refused in it; handlers fill it with `done`."""
    texts = json_texts("messages.")
    place = html("messages", js_on_load=script("messages.js", texts=texts))
    for name in ("answers", "uploads"):
        html(name, js_on_load=script(f"{name}.js", texts=texts))
    return place


def in_languages(sentence: Sentence) -> Texts:
    """The sentence in every language of the page."""
    return {language: sentence.text(language) for language in LANGUAGES}


def as_title(sentence: Sentence) -> str:
    """`in_languages` as text: it goes where an error of gradio has its title, the only field that is free."""
    return json.dumps(in_languages(sentence), ensure_ascii=False)


def done(sentence: Sentence) -> str:
    """What the place shows after something was done; the same sentence twice is shown twice."""
    return json.dumps({"texts": in_languages(sentence), "at": time.time_ns()}, ensure_ascii=False)
