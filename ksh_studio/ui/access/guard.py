"""The wrapper around every handler: who calls it, whether they may, and what an error looks like to them."""

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypedDict

import gradio as gr
from gradio.blocks import Block
from starlette.requests import Request

from ksh_studio.disk import any_disk_errors
from ksh_studio.errors import StudioError
from ksh_studio.events import Event
from ksh_studio.locales import Sentence, sentence
from ksh_studio.ui.access.roles import Action
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit, visit_of
from ksh_studio.ui.parts.languages import language_of
from ksh_studio.ui.parts.messages import as_title, in_languages
from ksh_studio.ui.parts.outputs import by_name, components

Handler = Callable[..., Any]
UNEXPECTED = sentence("messages.unexpected")
log = logging.getLogger(__name__)


def guarded(studio: Studio, action: Action, handler: Handler) -> Handler:
    """`handler(visit, *values)` as gradio calls it: `(request, *values)`.

    Nothing of the handler runs for somebody who may not; a StudioError becomes one sentence in the visitor's language,
    any other error a sentence that names the log. Other programs get it as an error, the page shows it as a message.
    """

    def values_of(request: gr.Request, *values: Any, **named: Any) -> Any:
        with _sentences(request), any_disk_errors(studio.workspace.root):
            return handler(_admitted(studio, action, request), *values, **named)

    def stream_of(request: gr.Request, *values: Any, **named: Any) -> Iterator[Any]:
        with _sentences(request), any_disk_errors(studio.workspace.root):
            yield from handler(_admitted(studio, action, request), *values, **named)

    return _signed(stream_of if inspect.isgeneratorfunction(handler) else values_of, handler, action)


class Filling(TypedDict):
    """Two arguments of an event of gradio."""

    fn: Handler
    outputs: list[Block]


def filling(studio: Studio, action: Action, handler: Handler, places: object) -> Filling:
    """A guarded handler and the components that it fills, for an event: `button.click(inputs=…, **filling(…))`.

    places: a component, or a dataclass or dictionary of components with the names of the answer (see `parts.outputs`).
    """
    return {"fn": guarded(studio, action, by_name(handler, places)), "outputs": components(places)}


def guarded_call(studio: Studio, action: Action, handler: Handler) -> Handler:
    """`handler(visit, values)` as a script of ours on the page calls it.

    Answers `{ok, ...}`; when refused, `{ok, message, texts}`: the sentence, and the same in every language.
    """

    def answer(values: object, request: gr.Request) -> dict[str, Any]:
        plain = request.request if isinstance(request, gr.Request) and request.request else request
        try:
            with any_disk_errors(studio.workspace.root):
                return {"ok": True} | handler(_admitted(studio, action, plain), values)
        except StudioError as error:
            refused = error.sentence
        except Exception:  # noqa: BLE001 - the page must hear that its call failed; the log has the rest
            log.exception("a call from the page failed")
            refused = UNEXPECTED
        return {"ok": False, "message": refused.text(language_of(plain)), "texts": in_languages(refused)}

    answer.__name__ = handler.__name__
    vars(answer).update(action=action)
    return answer


def emptied_before_raised(events: Iterator[Event]) -> Iterator[Event | str]:
    """The events of a stage; before a StudioError comes "", which takes the progress away from the page."""
    try:
        yield from events
    except StudioError:
        yield ""
        raise


def _admitted(studio: Studio, action: Action, request: gr.Request | Request) -> Visit:
    visit = visit_of(studio, request)
    visit.need(action)
    return visit


@contextmanager
def _sentences(request: gr.Request) -> Iterator[None]:
    try:
        yield
    except StudioError as error:
        raise _refusal(error.sentence, request) from error
    except (gr.Error, GeneratorExit):
        raise
    except Exception as error:
        log.exception("a handler failed")
        raise _refusal(UNEXPECTED, request) from error


def _refusal(sentence: Sentence, request: gr.Request) -> gr.Error:
    """The error that gradio sends; not visible, since gradio would show it a second time, and in its own way."""
    text = sentence.text(language_of(request))
    return gr.Error(text, visible=False, title=as_title(sentence), print_exception=False)


def _signed(run: Handler, handler: Handler, action: Action) -> Handler:
    """Give the wrapper the handler's own parameters, by which gradio checks inputs and names the API's arguments."""
    parameters = inspect.signature(handler).parameters.values()
    first = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=gr.Request)
    signature = inspect.Signature([first, *list(parameters)[1:]])
    special = {name: hint for name, hint in handler.__annotations__.items() if hint is gr.EventData}
    run.__annotations__ = {"request": gr.Request} | special
    run.__name__, run.__doc__ = handler.__name__, handler.__doc__
    vars(run).update(__signature__=signature, action=action)
    return run
