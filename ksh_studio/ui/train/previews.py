"""The previews of a training: one large tile a prompt, and a slider over the steps, on which the style comes in."""

from dataclasses import dataclass

from ksh_studio.config import Trigger
from ksh_studio.errors import StudioError
from ksh_studio.events import Preview
from ksh_studio.locales import Language, translate
from ksh_studio.project.catalogue import Catalogue
from ksh_studio.project.workspace import Project
from ksh_studio.ui.parts.markup import (
    Html,
    chip,
    element,
    fold,
    heading,
    joined,
    notes,
    picture_button,
    slider,
    small_print,
)
from ksh_studio.ui.parts.thinning import thinned
from ksh_studio.ui.server.files import file_url

SHOWN_STEPS = 24
"""More steps than this are thinned out; the newest and the recommended one always stand."""
LARGE_TILES = 4
"""Further prompts stand in a fold below."""


def preview_tiles(
    project: Project, previews: list[Preview], trigger: str, language: Language, recommended: int | None = None
) -> str:
    """One tile a prompt and seed, beside one of the drawings; steps from 0 (the base model alone) on; asked ones below.

    The page has the pictures of all steps; `assets/js/previews.js` shows those of the step that the slider is at.

    trigger: a prompt without it is marked, for its tile shows what has leaked into everything.
    recommended: the recommended step, which is marked.
    """
    regular = [preview for preview in previews if not preview.asked]
    requested = [preview for preview in previews if preview.asked]
    blocks = []
    if regular:
        blocks += _board(_Steps.of(regular, recommended), regular, project, trigger, language)
    if requested:
        blocks += _requested(project, requested, language)
    return notes(blocks)


def preview_of_step(previews: list[Preview], step: int, trigger: str) -> Preview | None:
    """The preview that shows a step: of the first prompt that calls the style, else of the first."""
    of_step = [preview for preview in previews if preview.step == step and not preview.asked]
    with_trigger = [preview for preview in of_step if Trigger(text=trigger).is_called_in(preview.prompt)]
    return next(iter(with_trigger or of_step), None)


def preview_picture(project: Project, preview: Preview, language: Language) -> Html:
    """One preview as a button that shows it large."""
    address = file_url(project, "preview", preview.path.removeprefix("jobs/"))
    return picture_button(address, f"{step_name(preview.step, language)} · {preview.prompt}")


def step_name(step: int, language: Language) -> str:
    """A step in words; step 0 is the base model's own."""
    return translate("train_tab.step", language, step=step) if step else translate("train_tab.before", language)


@dataclass(frozen=True)
class _Steps:
    """The steps that the slider has."""

    steps: list[int]
    left_out: int
    """How many steps in between are not shown."""
    recommended: int | None

    @classmethod
    def of(cls, previews: list[Preview], recommended: int | None) -> "_Steps":
        steps = sorted({preview.step for preview in previews})
        kept = {*thinned(steps, SHOWN_STEPS), *([recommended] if recommended in steps else [])}
        return cls(sorted(kept), len(steps) - len(kept), recommended)

    def names(self, language: Language) -> list[str]:
        stars = {self.recommended: "★ "}
        return [f"{stars.get(step, '')}{step_name(step, language)}" for step in self.steps]


def _board(steps: _Steps, previews: list[Preview], project: Project, trigger: str, language: Language) -> list[Html]:
    rows: dict[tuple[str, int], dict[int, Preview]] = {}
    for preview in previews:
        rows.setdefault((preview.prompt, preview.seed), {})[preview.step] = preview
    tiles = [_tile(steps, prompt, row, project, trigger, language) for (prompt, _), row in rows.items()]
    parts = [element("div", _own_drawing(project, language), *tiles[:LARGE_TILES], class_="ksh-tiles")]
    if len(steps.steps) > 1:
        parts.insert(0, slider(translate("train_tab.slider", language), steps.steps, steps.names(language)))
    if len(tiles) > LARGE_TILES:
        more = translate("train_tab.more_previews", language, count=len(tiles) - LARGE_TILES)
        parts.append(fold(more, element("div", *tiles[LARGE_TILES:], class_="ksh-tiles"), name="previews"))
    blocks = [heading(translate("train_tab.previews", language))]
    blocks.append(element("div", *parts, data_board=previews[0].path))
    if steps.left_out:
        blocks.append(small_print(translate("train_tab.thinned", language, count=steps.left_out)))
    return blocks


def _tile(
    steps: _Steps, prompt: str, row: dict[int, Preview], project: Project, trigger: str, language: Language
) -> Html:
    """The pictures of one prompt, of which one is shown, and the prompt below; marked where it does not call the style.

    A step without a picture is an empty place.
    """
    pictures = [
        element(
            "div",
            preview_picture(project, row[step], language) if step in row else None,
            class_="ksh-chosen" if step == steps.recommended else None,
            data_step=number,
            hidden=step != steps.steps[-1],
        )
        for number, step in enumerate(steps.steps)
    ]
    mark = chip(translate("train_tab.leak", language), translate("train_tab.leak_about", language))
    called = Trigger(text=trigger).is_called_in(prompt)
    caption = element(
        "figcaption", prompt if called else joined([prompt, mark], " "), class_="ksh-prompt", title=prompt
    )
    return element("figure", element("div", *pictures, data_row=True), caption)


def _own_drawing(project: Project, language: Language) -> Html | None:
    """One of the drawings that are learned from, to compare with; none where there is none any more."""
    try:
        with Catalogue(project) as catalogue:
            drawing = next(iter(catalogue.page(limit=1, which="captioned").rows), None)
    except StudioError:  # the plan says what is wrong with them
        return None
    if drawing is None:
        return None
    name = translate("train_tab.own_drawing", language)
    small, large = (file_url(project, kind, f"{drawing.id}.webp") for kind in ("thumb", "drawing"))
    picture = picture_button(small, name, large=large)
    return element("figure", element("div", picture, data_row=True), element("figcaption", name), class_="ksh-own")


def _requested(project: Project, previews: list[Preview], language: Language) -> list[Html]:
    cells = []
    for preview in reversed(previews):
        caption = element("figcaption", f"{step_name(preview.step, language)} · {preview.prompt}")
        cells.append(element("figure", preview_picture(project, preview, language), caption, class_="ksh-cell"))
    row = element("div", *cells, class_="ksh-row", data_row=True)
    title = heading(translate("train_tab.asked", language))
    return [title, element("div", row, class_="ksh-sheet", data_scroll="asked")]
