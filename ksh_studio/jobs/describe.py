"""The one place that turns an event into a sentence; the page and the terminal decide where they put it."""

from ksh_studio.events import (
    Captioned,
    Checkpoint,
    Event,
    Failed,
    Finished,
    Heartbeat,
    Imported,
    LoraSaved,
    Paused,
    Picture,
    Planned,
    Preview,
    Progress,
    Resumed,
    Scored,
    Started,
    Step,
    Stopped,
    Validated,
    Warned,
)
from ksh_studio.jobs.figures import duration, loss_figure, roughly, share
from ksh_studio.locales import Language, sentence, translate


def describe(event: Event, language: Language) -> str:
    """The event as one sentence for a person; empty for a heartbeat, which has nothing to say."""
    match event:
        case Heartbeat():
            return ""
        case Warned() | Stopped() | Paused() | Failed() | Finished():
            return event.text(language)
        case Progress():
            done, total = f"{event.done:,}", f"{event.total:,}"
            return translate(f"events.phase_{event.phase}", language, done=done, total=total)
        case _:
            return translate(f"events.{event.kind}", language, **_figures(event, language))


def progress_text(event: Progress, seconds_left: float | None, language: Language) -> str:
    """How far the work is, and the time that is left where that is known."""
    text = describe(event, language)
    if seconds_left is None:
        return text
    return f"{text}, {translate('events.time_left', language, time=duration(seconds_left, language))}"


MOST_FILES = 10
"""Files named for one reason; of more, the number is said."""


def files_to_look_at(event: Imported, language: Language) -> list[str]:
    """The files of an import of which something is to be said: those left out and those gone, each with the reason."""
    same = [(name, translate("events.same_as", language, name=kept)) for name, kept in event.duplicates]
    gone = [(name, translate("events.gone", language)) for name in event.gone]
    unreadable = [(key, name) for name, key in event.unreadable]
    lines = _named(same, translate("events.same_as_others", language), language)
    for key in dict.fromkeys(key for key, _ in unreadable):
        reason = sentence(key).text(language)
        lines += _named([(name, reason) for each, name in unreadable if each == key], reason, language)
    return lines + _named(gone, translate("events.gone", language), language)


def files_left_out(event: Imported) -> int:
    """How many files `files_to_look_at` speaks of."""
    return len(event.duplicates) + len(event.unreadable) + len(event.gone)


def _named(files: list[tuple[str, str]], reason: str, language: Language) -> list[str]:
    """A line for each of the first files, and one that counts the others."""
    lines = [f"{name}: {why}" for name, why in files[:MOST_FILES]]
    if len(files) > MOST_FILES:
        lines.append(translate("events.more_files", language, count=len(files) - MOST_FILES, reason=reason))
    return lines


def _figures(
    event: Started
    | Imported
    | Captioned
    | Planned
    | Step
    | Validated
    | Scored
    | Preview
    | Checkpoint
    | LoraSaved
    | Picture
    | Resumed,
    language: Language,
) -> dict[str, object]:
    """The event's fields, with amounts as people read them."""
    values: dict[str, object] = event.model_dump()
    match event:
        case Step():
            values["loss"] = loss_figure(event.ema_loss)
        case Validated():
            values["loss"] = loss_figure(event.loss)
        case Scored():
            values["score"] = f"{event.score:.2f}"
        case Picture():
            values["number"] = event.index + 1
        case Planned():
            values["epochs"] = f"{event.epochs:.1f}"
            values["time"] = roughly(event.seconds, language)
            values["memory"] = share(event.memory_mb, event.memory_total_mb, language)
            values["disk"] = share(event.disk_mb, event.disk_free_mb, language)
    return values
