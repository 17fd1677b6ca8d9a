"""Which checkpoint: the one that the studio recommends, with its reason, and every other LoRA of the training."""

from contextlib import suppress
from pathlib import PurePosixPath

from ksh_studio.errors import StudioError
from ksh_studio.events import Finished, LoraSaved
from ksh_studio.jobs.figures import duration, size
from ksh_studio.jobs.history import JobHistory
from ksh_studio.locales import Language, translate
from ksh_studio.paths import SAFETENSORS
from ksh_studio.project.workspace import Project
from ksh_studio.training.measures.recommend import Recommendation, percent, recommend
from ksh_studio.ui.parts.markup import (
    element,
    entry,
    fold,
    heading,
    link,
    listing,
    note,
    notes,
    small_print,
    value_button,
)
from ksh_studio.ui.server.files import file_url
from ksh_studio.ui.train.previews import preview_of_step, preview_picture, step_name

FIGURES = ("steps", "seconds", "steps_per_second", "images_seen", "final_loss")
OPEN_FILES = 4
"""Fewer files than this are listed without a click."""


def recommendation(history: JobHistory) -> Recommendation | None:
    """What the studio recommends among the LoRA files that the job has saved so far."""
    return recommend(history.measurements())


def recommended_step(project: Project, history: JobHistory, trigger: str, language: Language) -> str:
    """The recommended step: its picture, the reason, and a warning where one is due. Empty while there is none."""
    best = recommendation(history)
    if best is None:
        return ""
    preview = preview_of_step(history.previews, best.step, trigger)
    title = translate("train_tab.recommended", language, step=best.step)
    about = element(
        "div",
        heading(f"★ {title}"),
        element("p", best.reason.text(language)),
        note(best.warning.text(language), "warn") if best.warning is not None else None,
    )
    picture = preview_picture(project, preview, language) if preview is not None else None
    return element("section", picture, about, class_="ksh-choice")


def file_list(project: Project, history: JobHistory, language: Language, may_download: bool) -> str:
    """The LoRA files of the job, newest first, each with its own "use", and what was measured."""
    saved = sorted(history.loras, key=lambda lora: lora.step, reverse=True)
    scores = {event.step: event.score for event in history.scored}
    blocks = []
    if saved:
        title = translate("train_tab.files", language, count=len(saved))
        files = listing(_file(project, lora, scores.get(lora.step), language, may_download) for lora in saved)
        blocks.append(fold(title, files, is_open=len(saved) < OPEN_FILES))
    measured = history.final.figures if isinstance(history.final, Finished) else {}
    figures = [_figure(name, value, language) for name, value in measured.items() if name in FIGURES]
    if figures:
        blocks.append(small_print(" · ".join(figures)))
    return notes(blocks)


def _file(project: Project, lora: LoraSaved, score: float | None, language: Language, may_download: bool) -> str:
    name = PurePosixPath(lora.path).name
    use = translate("train_tab.use", language)
    button = value_button(str(lora.step), use, f"{use}: {name}")
    address = file_url(project, "lora", lora.path.removeprefix("jobs/"))
    download = link(address, translate("ui.download", language)) if may_download else ""
    return entry(name, _about(project, lora, score, language), element("span", button, " ", download))


def _about(project: Project, lora: LoraSaved, score: float | None, language: Language) -> str:
    """Step, size and likeness of one file."""
    parts = [step_name(lora.step, language)]
    with suppress(StudioError):  # the artist may have removed it
        parts.append(size(project.file_at(lora.path, project.jobs, SAFETENSORS).stat().st_size / 1e6))
    if score is not None:
        parts.append(translate("train_tab.likeness", language, score=percent(score)))
    return " · ".join(parts)


def _figure(name: str, value: float, language: Language) -> str:
    text = duration(value, language) if name == "seconds" else f"{value:.4g}"
    return f"{translate(f'train_tab.figure_{name}', language)} {text}"
