"""Events as the page shows them: a note in the colour of its kind, or a bar with the event's sentence under it."""

from ksh_studio.events import Captioned, Failed, Final, Finished, Picture, Progress, Warned
from ksh_studio.jobs.describe import describe
from ksh_studio.jobs.history import JobHistory
from ksh_studio.locales import Language, translate
from ksh_studio.ui.parts.markup import Html, bar, note


def event_note(event: Warned | Final, language: Language) -> Html:
    """A warning, or how the work ended, as a note."""
    match event:
        case Warned():
            kind = "warn"
        case Failed():
            kind = "bad"
        case Finished():
            kind = "good"
        case _:
            kind = "plain"
    return note(describe(event, language), kind)


def event_bar(event: Progress | Captioned | Picture, language: Language) -> Html:
    """Work under way: how much of it is done, and what it is at."""
    done = event.index + 1 if isinstance(event, Picture) else event.done
    return bar(done, event.total, describe(event, language))


def unknown_events(history: JobHistory, language: Language) -> list[Html]:
    """A note when the job has events that only a newer studio knows; otherwise nothing."""
    count = history.reader.unknown
    return [note(translate("ui.unknown_events", language, count=count), "warn")] if count else []
