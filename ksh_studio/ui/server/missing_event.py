"""Answers a call of an event that the page does not have with a sentence and 404, not a traceback and 500."""

import traceback

from gradio.route_utils import FnIndexInferError
from starlette.requests import Request
from starlette.responses import Response

from ksh_studio.locales import sentence
from ksh_studio.ui.server.refusals import refusal

LOOKUP_FUNCTION = "get_fn"
"""gradio's function that finds an event by its number; only a KeyError raised in it means that there is none."""


async def no_such_event(request: Request, error: Exception) -> Response:
    """The answer to a call of an unknown event; any other error is raised again."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, KeyError) and (not frames or frames[-1].name != LOOKUP_FUNCTION):
        raise error
    return refusal(request, sentence("access.no_event"), 404)


EXCEPTION_HANDLERS = {KeyError: no_such_event, FnIndexInferError: no_such_event}
"""For the `exception_handlers` of the server."""
