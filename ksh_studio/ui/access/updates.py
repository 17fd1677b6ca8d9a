"""What an update of the page answers when something goes wrong: gradio shows no error of a tick."""

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any

from ksh_studio.disk import any_disk_errors
from ksh_studio.errors import StudioError
from ksh_studio.locales import translate
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.markup import Html, note
from ksh_studio.ui.parts.outputs import Handler, Unchanged, only

log = logging.getLogger(__name__)


def errors_in_place(poll: Handler, place: Callable[[Html], Mapping[str, object]]) -> Handler:
    """A handler that updates a tab, and whose errors are shown on its tab; they go when it can answer again.

    poll: takes the visit first, and last what the page has seen. place: the part of the display that holds the note.
    """

    @functools.wraps(poll)
    def answer(visit: Visit, *values: Any) -> object:
        try:
            with any_disk_errors(visit.workspace.root):
                return poll(visit, *values)
        except StudioError as error:
            return only(values[-1], place(note(error.text(visit.language), "bad")))
        except Exception:  # noqa: BLE001 - the page must say that it no longer shows how things are
            shown = only(values[-1], place(note(translate("messages.unexpected", visit.language), "bad")))
            if not isinstance(shown, Unchanged):  # once, not with every tick
                log.exception("an update of the page failed")
            return shown

    return answer
