"""What the Caption tab says: counts, trigger, the captioning job, reports. Pure functions to HTML."""

from pathlib import Path

from ksh_studio.events import Event, Failed, Imported, Progress, Warned
from ksh_studio.jobs.describe import describe, files_to_look_at
from ksh_studio.jobs.folder import Job
from ksh_studio.jobs.status import job_status
from ksh_studio.locales import Language, translate
from ksh_studio.project.catalogue.counting import drawings_of
from ksh_studio.project.workspace import Project
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.markup import Html, bar, chip, details, esc, link, note, notes
from ksh_studio.ui.server.files import url


def summary(project: Project, language: Language) -> str:
    """How many drawings and captions there are, and the trigger as a fixed chip."""
    count = drawings_of(project)
    if not count.total:
        return note(translate("caption_tab.empty", language))
    text = translate("caption_tab.count", language, total=count.total, captioned=count.captioned)
    trigger = project.settings().trigger
    where = translate(f"caption_tab.trigger_{trigger.position}", language)
    shown = chip(trigger.text, where) if trigger.text else ""
    return f'<p class="ksh-about"><span>{esc(text)}</span> <span>{esc(where)} {shown}</span></p>'


def job_line(visit: Visit, job: Job) -> str:
    """The newest captioning job: its progress, its end, or why nobody hears from it."""
    history, status, language = visit.studio.histories.of(job), job_status(job), visit.language
    parts = [note(warning.text(language), "warn") for warning in history.warnings]
    if status.state == "ended unexpectedly":
        parts.insert(0, note(translate("caption_tab.ended_unexpectedly", language), "bad"))
        if visit.may("read_log") and status.last_log_lines:
            parts.append(details(translate("ui.last_lines", language), status.last_log_lines))
    elif status.state == "not answering":
        parts.insert(0, note(translate("train_tab.not_answering", language), "warn"))
    elif history.final is not None and not status.alive:
        kind = {"finished": "good", "failed": "bad"}.get(history.final.kind, "plain")
        parts.insert(0, note(history.final.text(language), kind))
    elif history.progress is not None:
        parts.insert(0, progress_bar(history.progress, language))
    elif history.captioned is not None:
        parts.insert(0, bar(history.captioned.done, history.captioned.total, describe(history.captioned, language)))
    else:
        parts.insert(0, bar(0, 0, translate("ui.starting", language)))
    return notes(parts)


def progress_bar(progress: Progress, language: Language) -> Html:
    """Work under way, with its bar."""
    return bar(progress.done, progress.total, describe(progress, language))


def report(event: Event, language: Language) -> str:
    """What an import did, file by file where something is to be said; empty for other events."""
    if isinstance(event, Imported):
        return _imported(event, language)
    if isinstance(event, Warned):
        return note(event.text(language), "warn")
    return note(event.text(language), "bad") if isinstance(event, Failed) else ""


def _imported(event: Imported, language: Language) -> str:
    parts = [note(describe(event, language), "good")]
    files = files_to_look_at(event, language)
    if files:
        parts.append(details(translate("caption_tab.left_out", language, count=len(files)), "\n".join(files)))
    return notes(parts)


def exported(project: Project, target: Path, said: list[Event], language: Language) -> str:
    """The link to an export, with its warnings; or why there is none."""
    parts = [note(event.text(language), "bad" if isinstance(event, Failed) else "warn")
             for event in said if isinstance(event, Failed | Warned)]  # fmt: skip
    if target.is_file():
        parts.append(link(url(project, "export", target.name), translate("ui.download", language), target.name))
    return notes(parts)
