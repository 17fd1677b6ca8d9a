"""How far a training job is, in words and with a bar: HTML from its history and its state."""

from ksh_studio.jobs.describe import describe
from ksh_studio.jobs.figures import duration, size
from ksh_studio.jobs.history import JobHistory
from ksh_studio.jobs.status import JobStatus
from ksh_studio.locales import Language, translate
from ksh_studio.ui.parts.events import unknown_events
from ksh_studio.ui.parts.markup import bar, note, notes

KINDS = {"finished": "good", "failed": "bad", "paused": "warn"}


def headline(status: JobStatus, history: JobHistory, language: Language) -> str:
    """How far the job is, with a bar; how it ended; or why it does not answer."""
    parts = [_state(status, history, language)]
    parts += [note(warning.text(language), "warn") for warning in history.warnings]
    parts += unknown_events(history, language)
    if status.state == "not answering":
        parts.append(note(translate("train_tab.not_answering", language), "warn"))
    return notes(parts)


def _state(status: JobStatus, history: JobHistory, language: Language) -> str:
    if status.state == "queued":
        return note(translate("train_tab.queued", language))
    if status.state == "ended unexpectedly":
        return note(translate("train_tab.ended_unexpectedly", language), "bad")
    if history.final is not None and not status.alive:
        ending = note(history.final.text(language), KINDS.get(history.final.kind, "plain"))
        return ending + (note(translate("train_tab.paused_free", language)) if status.state == "paused" else "")
    if history.progress is not None:
        doing = describe(history.progress, language)
        step = history.steps[-1] if history.steps else None
        if step is not None:  # a preview in mid-run: the bar stays where the training is
            return bar(step.step, step.total, f"{describe(step, language)} · {doing}")
        return bar(history.progress.done, history.progress.total, doing)
    if history.steps:
        return _running(history, language)
    return bar(0, 0, translate("ui.starting", language))


def _running(history: JobHistory, language: Language) -> str:
    last, seconds, left = history.steps[-1], history.seconds_per_step(), history.remaining_seconds()
    parts = [describe(last, language)]
    if seconds is not None:
        key, value = ("speed", 1 / seconds) if seconds <= 1 else ("pace", seconds)
        parts.append(translate(f"train_tab.{key}", language, value=f"{value:.1f}"))
    if left is not None:
        parts.append(translate("train_tab.left", language, time=duration(left, language)))
    if last.memory_mb is not None:
        parts.append(translate("train_tab.memory", language, size=size(last.memory_mb)))
    return bar(last.step, last.total, " · ".join(parts))
