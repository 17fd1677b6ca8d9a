"""What the Caption tab says: counts and trigger, the captioning job, reports. Pure functions to HTML."""

from ksh_studio.config import Trigger
from ksh_studio.events import Event, Failed, Imported, Warned
from ksh_studio.jobs.describe import describe, files_left_out, files_to_look_at
from ksh_studio.jobs.history import JobHistory
from ksh_studio.jobs.status import JobStatus
from ksh_studio.locales import Language, translate
from ksh_studio.project.catalogue.counting import Count
from ksh_studio.ui.parts.events import event_bar, event_note, unknown_events
from ksh_studio.ui.parts.markup import Html, bar, chip, details, line, note, notes


def counts_and_trigger(count: Count, trigger: Trigger, language: Language) -> Html:
    """How many drawings and captions there are, and the trigger as a fixed chip."""
    if not count.total:
        return note(translate("caption_tab.empty", language))
    counts = translate("caption_tab.count", language, total=count.total, captioned=count.captioned)
    place = translate(f"caption_tab.trigger_{trigger.position}", language)
    return line((counts, ""), (place, chip(trigger.text, place) if trigger.text else ""))


def job_state(history: JobHistory, status: JobStatus, language: Language, with_log: bool) -> Html:
    """A captioning job: its progress, its end, or that it does not answer; then its warnings.

    with_log: show the last lines of the log where the job ended unexpectedly.
    """
    parts = [_headline(history, status, language)]
    parts += [event_note(warning, language) for warning in history.warnings]
    parts += unknown_events(history, language)
    if status.state == "ended unexpectedly" and with_log and status.last_log_lines:
        parts.append(details(translate("ui.last_lines", language), status.last_log_lines))
    return notes(parts)


def _headline(history: JobHistory, status: JobStatus, language: Language) -> Html:
    if status.state == "ended unexpectedly":
        return note(translate("caption_tab.ended_unexpectedly", language), "bad")
    if status.state == "not answering":
        return note(translate("train_tab.not_answering", language), "warn")
    if history.final is not None and not status.alive:
        return event_note(history.final, language)
    latest = history.progress or history.captioned
    if latest is not None:
        return event_bar(latest, language)
    return bar(0, 0, translate("ui.starting", language))


def import_report(event: Event, language: Language) -> Html:
    """An event of an import: what came in, with the files to look at, or a note; empty for an event that says nothing.

    The names of the files stand in lines that open at a click.
    """
    if not isinstance(event, Imported):
        return _warned_or_failed(event, language)
    files = files_to_look_at(event, language)
    title = translate("caption_tab.left_out", language, count=files_left_out(event))
    report = note(describe(event, language), "good")
    return notes([report, details(title, "\n".join(files))]) if files else report


def _warned_or_failed(event: Event, language: Language) -> Html:
    return event_note(event, language) if isinstance(event, Warned | Failed) else Html()
