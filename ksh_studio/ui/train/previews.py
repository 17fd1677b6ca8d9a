"""The previews of a training, prompts × steps: the style comes in from left to right."""

from dataclasses import dataclass

from ksh_studio.config import Trigger
from ksh_studio.events import Preview
from ksh_studio.locales import Language, translate
from ksh_studio.project.workspace import Project
from ksh_studio.ui.parts.markup import chip, element, heading, notes, picture_button, small_print
from ksh_studio.ui.parts.thinning import thinned
from ksh_studio.ui.server.files import file_url

SHOWN_STEPS = 24
"""More columns than this are thinned out; the newest and the recommended one always stand."""


def preview_rows(
    project: Project, previews: list[Preview], trigger: str, language: Language, recommended: int | None = None
) -> str:
    """One row a prompt and seed, one column a step from 0 (the base model alone) on; asked previews in a row below.

    trigger: a prompt without it is marked, for its row shows what has leaked into everything.
    recommended: the recommended step, whose column is marked.
    """
    regular = [preview for preview in previews if not preview.asked]
    requested = [preview for preview in previews if preview.asked]
    blocks = []
    if regular:
        blocks += _table(_Columns.of(regular, recommended), regular, project, trigger, language)
    if requested:
        blocks += _requested(project, requested, language)
    return notes(blocks)


def preview_of_step(previews: list[Preview], step: int, trigger: str) -> Preview | None:
    """The preview that shows a step: of the first prompt that calls the style, else of the first."""
    of_step = [preview for preview in previews if preview.step == step and not preview.asked]
    with_trigger = [preview for preview in of_step if Trigger(text=trigger).is_called_in(preview.prompt)]
    return next(iter(with_trigger or of_step), None)


def preview_picture(project: Project, preview: Preview, language: Language) -> str:
    """One preview as a button that shows it large."""
    address = file_url(project, "preview", preview.path.removeprefix("jobs/"))
    return picture_button(address, f"{step_name(preview.step, language)} · {preview.prompt}")


def step_name(step: int, language: Language) -> str:
    """A step in words; step 0 is the base model's own."""
    return translate("train_tab.step", language, step=step) if step else translate("train_tab.before", language)


@dataclass(frozen=True)
class _Columns:
    """The steps that are shown."""

    steps: list[int]
    left_out: int
    """How many steps in between are not shown."""
    recommended: int | None

    @classmethod
    def of(cls, previews: list[Preview], recommended: int | None) -> "_Columns":
        steps = sorted({preview.step for preview in previews})
        kept = {*thinned(steps, SHOWN_STEPS), *([recommended] if recommended in steps else [])}
        return cls(sorted(kept), len(steps) - len(kept), recommended)

    def cell(self, step: int, content: object) -> str:
        return element("div", content, class_="ksh-cell ksh-chosen" if step == self.recommended else "ksh-cell")

    def head(self, language: Language) -> str:
        stars = {self.recommended: "★ "}
        cells = (self.cell(step, f"{stars.get(step, '')}{step_name(step, language)}") for step in self.steps)
        return element("div", *cells, class_="ksh-row ksh-steps")


def _table(columns: _Columns, previews: list[Preview], project: Project, trigger: str, language: Language) -> list[str]:
    rows: dict[tuple[str, int], dict[int, Preview]] = {}
    for preview in previews:
        rows.setdefault((preview.prompt, preview.seed), {})[preview.step] = preview
    parts = [columns.head(language)]
    for (prompt, _), row in rows.items():
        parts.append(_prompt(prompt, trigger, language))
        pictures = {step: preview_picture(project, preview, language) for step, preview in row.items()}
        cells = (columns.cell(step, pictures[step]) if step in row else element("div", class_="ksh-cell")
                 for step in columns.steps)  # fmt: skip
        parts.append(element("div", *cells, class_="ksh-row"))
    blocks = [heading(translate("train_tab.previews", language))]
    if columns.left_out:
        blocks.append(small_print(translate("train_tab.thinned", language, count=columns.left_out)))
    return [*blocks, element("div", *parts, class_="ksh-sheet", data_scroll="previews")]


def _prompt(prompt: str, trigger: str, language: Language) -> str:
    """The prompt above its row; marked where it does not call the style."""
    if Trigger(text=trigger).is_called_in(prompt):
        return element("p", prompt, class_="ksh-prompt")
    mark = chip(translate("train_tab.leak", language), translate("train_tab.leak_about", language))
    return element("p", prompt, " ", mark, class_="ksh-prompt")


def _requested(project: Project, previews: list[Preview], language: Language) -> list[str]:
    cells = []
    for preview in reversed(previews):
        caption = element("figcaption", f"{step_name(preview.step, language)} · {preview.prompt}")
        cells.append(element("figure", preview_picture(project, preview, language), caption, class_="ksh-cell"))
    row = element("div", *cells, class_="ksh-row")
    title = heading(translate("train_tab.asked", language))
    return [title, element("div", row, class_="ksh-sheet", data_scroll="asked")]
