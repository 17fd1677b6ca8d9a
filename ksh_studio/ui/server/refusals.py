"""The answer to a request that is refused outside of any event: a sentence in the visitor's language.

A script of the page reads it as it reads the refusal of an event (`assets/js/answers.js`), in every language; where the
answer itself is looked at, as a link opened in a tab of its own, it is the sentence alone.
"""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ksh_studio.locales import Sentence
from ksh_studio.ui.parts.languages import language_of
from ksh_studio.ui.parts.messages import as_title


def refusal(request: Request, sentence: Sentence, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """The answer with this HTTP status."""
    text = sentence.text(language_of(request))
    if "text/html" in request.headers.get("accept", ""):
        return PlainTextResponse(text, status, headers)
    return JSONResponse({"error": text, "title": as_title(sentence)}, status, headers)
