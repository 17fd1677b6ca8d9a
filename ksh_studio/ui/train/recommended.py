"""Which checkpoint: the one the studio recommends, with its reason, and every other LoRA of the training."""

from pathlib import PurePosixPath

from ksh_studio.events import Finished, LoraSaved
from ksh_studio.jobs.figures import duration, size
from ksh_studio.jobs.history import JobHistory
from ksh_studio.locales import Language, translate
from ksh_studio.project.workspace import Project
from ksh_studio.training.measures.recommend import Recommendation, percent, recommend
from ksh_studio.ui.parts.markup import esc, note, pick
from ksh_studio.ui.server.files import url
from ksh_studio.ui.train.previews import best_of, picture, step_name

FIGURES = ("steps", "seconds", "steps_per_second", "images_seen", "final_loss")
OPEN_FILES = 4
"""Fewer files than this are listed without a click."""


def recommended(history: JobHistory) -> Recommendation | None:
    """What the studio recommends among the LoRA files that the job has saved so far."""
    return recommend(history.measurements())


def card(project: Project, history: JobHistory, trigger: str, language: Language) -> str:
    """The recommended step: its picture, the reason, and a warning where one is due. Empty while there is none."""
    found = recommended(history)
    if found is None:
        return ""
    preview = best_of(history.previews, found.step, trigger)
    title = translate("train_tab.recommended", language, step=found.step)
    said = [f"<p>{esc(found.reason.text(language))}</p>"]
    if found.warning is not None:
        said.append(note(found.warning.text(language), "warn"))
    shown = picture(project, preview, language) if preview is not None else ""
    return f'<section class="ksh-choice">{shown}<div><h4>★ {esc(title)}</h4>{"".join(said)}</div></section>'


def files(project: Project, history: JobHistory, language: Language, may_download: bool) -> str:
    """The LoRA files of the job, newest first, each with its own "use", and what was measured."""
    saved = sorted(history.loras, key=lambda lora: lora.step, reverse=True)
    scores = {event.step: event.score for event in history.scored}
    items = "".join(
        _file(project, lora, _about(project, lora, scores.get(lora.step), language), language, may_download)
        for lora in saved
    )
    title = translate("train_tab.files", language, count=len(saved))
    shown = " open" if len(saved) < OPEN_FILES else ""
    listed = f'<details class="ksh-details"{shown}><summary>{esc(title)}</summary>'
    listed += f'<ul class="ksh-files">{items}</ul></details>'
    figures = history.final.figures if isinstance(history.final, Finished) else {}
    measured = " · ".join(_figure(name, value, language) for name, value in figures.items() if name in FIGURES)
    return (listed if saved else "") + (f'<p class="ksh-figures">{measured}</p>' if measured else "")


def _about(project: Project, lora: LoraSaved, score: float | None, language: Language) -> str:
    """Step, size and likeness of one file."""
    path = project.root / lora.path
    said = [step_name(lora.step, language), *([size(path.stat().st_size / 1e6)] if path.is_file() else [])]
    if score is not None:
        said.append(translate("train_tab.likeness", language, score=percent(score)))
    return " · ".join(said)


def _file(project: Project, lora: LoraSaved, about: str, language: Language, may_download: bool) -> str:
    name = PurePosixPath(lora.path).name
    address = esc(url(project, "lora", lora.path.removeprefix("jobs/")))
    download = f'<a class="ksh-link" href="{address}" download>{esc(translate("ui.download", language))}</a>'
    word = translate("train_tab.use", language)
    use = pick(str(lora.step), word, f"{word}: {name}")
    shown = f"<span>{esc(name)} <small>{esc(about)}</small></span>"
    return f"<li>{shown}<span>{use} {download if may_download else ''}</span></li>"


def _figure(name: str, value: float, language: Language) -> str:
    shown = duration(value, language) if name == "seconds" else f"{value:.4g}"
    return esc(f"{translate(f'train_tab.figure_{name}', language)} {shown}")
