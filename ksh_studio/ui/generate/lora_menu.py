"""The menu of LoRA files on the Generate tab: named as people speak of them, the one to begin with first.

The recommended file of the newest finished training stands first, then the others of that training, then those of
earlier ones. Trainings that work or ended early stand below those that finished, and files from elsewhere below both.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath

from ksh_studio.jobs.figures import moment
from ksh_studio.jobs.folder import jobs_of
from ksh_studio.jobs.history import JobHistories
from ksh_studio.locales import Language, translate
from ksh_studio.lora.file.header import LoraHeader
from ksh_studio.lora.listing import LoraFiles, list_loras, path_in_workspace
from ksh_studio.project.workspace import Project
from ksh_studio.training.measures.recommend import recommend
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.model_choice import base_of

MOST_CHARACTERS = 120
"""The menu shows no more of a base model's name."""
ENDED_EARLY = ("stopped", "paused", "failed")


@dataclass(frozen=True)
class _Saved:
    """What is known of a LoRA file that one of the project's trainings saved."""

    step: int
    time: float
    """Unix seconds."""
    recommended: bool
    training: int
    """Place of its training among those of the project: 0 is the newest."""
    end: str
    """How the training ended, as its last event has it; empty while it works, or where it ended unexpectedly."""

    def place(self) -> tuple[bool, int, bool, int]:
        """Sorts the files as the menu has them."""
        return self.end != "finished", self.training, not self.recommended, -self.step


def suggested_lora(visit: Visit, project: Project) -> str:
    """The path of the LoRA that a form begins with: the first of the menu; empty without one."""
    _, usable = _in_order(visit, project, list_loras(project.workspace, project))
    return next(iter(usable), "")


def lora_menu(visit: Visit, project: Project) -> list[tuple[str, str]]:
    """The menu as (label, path in the workspace): none, the files that can be used, then why each other cannot."""
    files, language = list_loras(project.workspace, project), visit.language
    saved, usable = _in_order(visit, project, files)
    project_name, base = project.settings().name, base_of(visit, project)
    labels = {
        path: _trained_label(project_name, saved[path], "" if header.base == base else header.base, language)
        if path in saved
        else _label_from_elsewhere(path, header)
        for path, header in usable.items()
    }
    times = Counter(labels.values())
    entries = [(f"{label} · {path}" if times[label] > 1 else label, path) for path, label in labels.items()]
    refused = [(f"✗ {lora.reason.text(language)}", lora.path) for lora in files.unreadable]
    return [(translate("generate_tab.no_lora", language), ""), *entries, *refused]


def _in_order(visit: Visit, project: Project, files: LoraFiles) -> tuple[dict[str, _Saved], dict[str, LoraHeader]]:
    """What is known of the files that the project's trainings saved, and all that can be used as the menu has them.

    Both by their path in the workspace.
    """
    saved = _saved_by_trainings(visit.studio.histories, project)
    usable = {path_in_workspace(project.workspace, header): header for header in files.usable}
    trained = sorted((path for path in usable if path in saved), key=lambda path: saved[path].place())
    elsewhere = [path for path in usable if path not in saved]
    return saved, {path: usable[path] for path in [*trained, *elsewhere]}


def _saved_by_trainings(histories: JobHistories, project: Project) -> dict[str, _Saved]:
    inside = project.root.relative_to(project.workspace.root)
    saved: dict[str, _Saved] = {}
    with_loras = [job for job in jobs_of(project, "train") if job.loras.is_dir()]
    for place, job in enumerate(with_loras):
        history = histories.of(job)
        best = recommend(history.measurements())
        end = history.final.kind if history.final is not None else ""
        for lora in history.loras:
            recommended = best is not None and lora.path == best.path
            saved[(inside / lora.path).as_posix()] = _Saved(lora.step, lora.time, recommended, place, end)
    return saved


def _trained_label(name: str, saved: _Saved, other_base: str, language: Language) -> str:
    """Such as "Spring · step 120 ★ · today 05:54"."""
    step = translate("train_tab.step", language, step=saved.step)
    ended = translate(f"ui.state_{saved.end}", language) if saved.end in ENDED_EARLY else ""
    star = f"{step} ★" if saved.recommended else step
    parts = (name, star, ended, moment(saved.time, language), other_base[:MOST_CHARACTERS])
    return " · ".join(part for part in parts if part)


def _label_from_elsewhere(path: str, header: LoraHeader) -> str:
    """The file's name, with its folder below `loras`, and the base model."""
    folder = PurePosixPath(path.removeprefix("loras/")).parent.as_posix() if path.startswith("loras/") else "."
    name = header.label if folder == "." else f"{folder}/{header.label}"
    return " · ".join(part for part in (name, header.base[:MOST_CHARACTERS]) if part)
