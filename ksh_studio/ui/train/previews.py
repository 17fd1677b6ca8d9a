"""The previews of a training as one sheet, prompts × steps: the style comes in from left to right."""

from ksh_studio.events import Preview
from ksh_studio.locales import Language, translate
from ksh_studio.project.workspace import Project
from ksh_studio.ui.parts.markup import chip, esc
from ksh_studio.ui.parts.thinning import thinned
from ksh_studio.ui.server.files import url

SHOWN_STEPS = 24
"""More columns than this are thinned out; the newest and the recommended one always stand."""


def sheet(
    project: Project, previews: list[Preview], trigger: str, language: Language, chosen: int | None = None
) -> str:
    """One row a prompt and seed, one column a step from 0 (the base model alone) on; asked previews in a row below.

    trigger: a prompt without it is marked, for its row shows what has leaked into everything.
    chosen: the recommended step, whose column is marked.
    """
    regular = [preview for preview in previews if not preview.asked]
    steps, left_out = _columns(sorted({preview.step for preview in regular}), chosen)
    rows: dict[tuple[str, int], dict[int, Preview]] = {}
    for preview in regular:
        rows.setdefault((preview.prompt, preview.seed), {})[preview.step] = preview
    parts = [_row(project, prompt, [row.get(step) for step in steps], trigger, language, chosen)
             for (prompt, _), row in rows.items()]  # fmt: skip
    asked = [preview for preview in previews if preview.asked]
    if not parts and not asked:
        return ""
    head = f'<div class="ksh-row ksh-steps">{"".join(_head(step, language, chosen) for step in steps)}</div>'
    title = f"<h4>{esc(translate('train_tab.previews', language))}</h4>"
    more = (
        f'<p class="ksh-figures">{esc(translate("train_tab.thinned", language, count=left_out))}</p>'
        if left_out
        else ""
    )
    shown = f'{title}{more}<div class="ksh-sheet" data-scroll="previews">{head}{"".join(parts)}</div>' if parts else ""
    return shown + (_asked(project, asked, language) if asked else "")


def best_of(previews: list[Preview], step: int, trigger: str) -> Preview | None:
    """The preview that shows a step: of the first prompt that calls the style, else of the first."""
    found = [preview for preview in previews if preview.step == step and not preview.asked]
    called = [preview for preview in found if trigger.lower() in preview.prompt.lower()]
    return (called or found or [None])[0]


def picture(project: Project, preview: Preview, language: Language) -> str:
    """One preview as a button that shows it large."""
    address = esc(url(project, "preview", preview.path.removeprefix("jobs/")))
    said = esc(f"{step_name(preview.step, language)} · {preview.prompt}")
    return (
        f'<button type="button" class="ksh-picture" data-large="{address}" title="{said}" aria-label="{said}">'
        f'<img src="{address}" alt="" loading="lazy"></button>'
    )


def step_name(step: int, language: Language) -> str:
    """A step in words; step 0 is the base model's own."""
    return translate("train_tab.step", language, step=step) if step else translate("train_tab.before", language)


def _columns(steps: list[int], chosen: int | None) -> tuple[list[int], int]:
    kept = {*thinned(steps, SHOWN_STEPS), *([chosen] if chosen in steps else [])}
    return sorted(kept), len(steps) - len(kept)


def _head(step: int, language: Language, chosen: int | None) -> str:
    marked = " ksh-chosen" if step == chosen else ""
    star = "★ " if step == chosen else ""
    return f'<div class="ksh-cell{marked}">{star}{esc(step_name(step, language))}</div>'


def _row(
    project: Project, prompt: str, row: list[Preview | None], trigger: str, language: Language, chosen: int | None
) -> str:
    leak = trigger and trigger.lower() not in prompt.lower()
    mark = chip(translate("train_tab.leak", language), translate("train_tab.leak_about", language)) if leak else ""
    cells = "".join(
        f'<div class="ksh-cell{" ksh-chosen" if preview is not None and preview.step == chosen else ""}">'
        f"{picture(project, preview, language) if preview is not None else ''}</div>"
        for preview in row
    )
    return f'<p class="ksh-prompt">{esc(prompt)} {mark}</p><div class="ksh-row">{cells}</div>'


def _asked(project: Project, asked: list[Preview], language: Language) -> str:
    cells = "".join(
        f'<figure class="ksh-cell">{picture(project, preview, language)}<figcaption>'
        f"{esc(step_name(preview.step, language))} · {esc(preview.prompt)}</figcaption></figure>"
        for preview in reversed(asked)
    )
    title = esc(translate("train_tab.asked", language))
    return f'<h4>{title}</h4><div class="ksh-sheet" data-scroll="asked"><div class="ksh-row">{cells}</div></div>'
