"""What a training job is at, in words and with a bar. Pure functions from events to HTML."""

from ksh_studio.jobs.describe import describe
from ksh_studio.jobs.figures import duration, size
from ksh_studio.jobs.history import Story
from ksh_studio.jobs.status import JobStatus
from ksh_studio.locales import Language, translate
from ksh_studio.ui.parts.markup import bar, details, note, notes

KINDS = {"finished": "good", "failed": "bad", "paused": "warn"}


def headline(status: JobStatus, story: Story, language: Language, log: bool = False) -> str:
    """What the job is at, with a bar; how it ended; or why nobody hears from it. `log`: also its last lines."""
    parts = [_state(status, story, language)]
    parts += [note(warning.text(language), "warn") for warning in story.warnings]
    if status.state == "not answering":
        parts.append(note(translate("train_tab.not_answering", language), "warn"))
    if log and status.log_tail:
        parts.append(details(translate("ui.last_lines", language), status.log_tail))
    return notes(parts)


def _state(status: JobStatus, story: Story, language: Language) -> str:
    if status.state == "queued":
        return note(translate("train_tab.queued", language))
    if status.state == "ended unexpectedly":
        return note(translate("train_tab.ended_unexpectedly", language), "bad")
    if story.final is not None and not status.alive:
        said = note(story.final.text(language), KINDS.get(story.final.kind, "plain"))
        return said + (note(translate("train_tab.paused_free", language)) if status.state == "paused" else "")
    if story.progress is not None:
        doing = describe(story.progress, language)
        step = story.steps[-1] if story.steps else None
        if step is not None:  # a preview in mid-run: the bar stays where the training is
            return bar(step.step, step.total, f"{describe(step, language)} · {doing}")
        return bar(story.progress.done, story.progress.total, doing)
    if story.steps:
        return _running(story, language)
    return bar(0, 0, translate("ui.starting", language))


def _running(story: Story, language: Language) -> str:
    last, pace, left = story.steps[-1], story.pace(), story.remaining_seconds()
    said = [describe(last, language)]
    if pace is not None:
        key, value = ("speed", 1 / pace) if pace <= 1 else ("pace", pace)
        said.append(translate(f"train_tab.{key}", language, value=f"{value:.1f}"))
    if left is not None:
        said.append(translate("train_tab.left", language, time=duration(left, language)))
    if last.memory_mb is not None:
        said.append(translate("train_tab.memory", language, size=size(last.memory_mb)))
    return bar(last.step, last.total, " · ".join(said))
