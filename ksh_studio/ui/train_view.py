"""A training job as the page shows it: state, loss, previews, results. Pure functions from events to HTML."""

from ksh_studio.events import Finished, LoraSaved, Preview
from ksh_studio.jobs import JobStatus
from ksh_studio.locales import Language, translate
from ksh_studio.ui.markup import bar, details, esc, note, notes
from ksh_studio.ui.routes import url
from ksh_studio.ui.story import Story
from ksh_studio.workspace import Project

WIDTH, HEIGHT = 640, 180
LEFT, BOTTOM = 44, 20
FIGURES = ("steps", "seconds", "steps_per_second", "images_seen", "final_loss")


def duration(seconds: float, language: Language) -> str:
    """A length of time in words: the two largest units."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return translate("ui.hours", language, hours=hours, minutes=minutes)
    return translate("ui.minutes", language, minutes=minutes, seconds=rest) if minutes else (
        translate("ui.seconds", language, seconds=rest)
    )  # fmt: skip


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
    if status.state == "ended unexpectedly":
        return note(translate("train_tab.ended_unexpectedly", language), "bad")
    if story.final is not None and not status.alive:
        kind = {"finished": "good", "failed": "bad"}.get(story.final.kind, "plain")
        return note(story.final.text(language), kind)
    if story.progress is not None:
        doing = translate(f"ui.phase_{story.progress.phase}", language)
        return bar(story.progress.done, story.progress.total, doing)
    if story.steps:
        return _running(story, language)
    return bar(0, 0, translate("ui.starting", language))


def _running(story: Story, language: Language) -> str:
    last, left = story.steps[-1], story.remaining_seconds()
    values = {"step": last.step, "total": last.total, "loss": f"{last.ema_loss:.4f}"}
    text = translate("train_tab.running", language, **values)
    if left is not None:
        text += " · " + translate("train_tab.left", language, time=duration(left, language))
    return bar(last.step, last.total, text)


def loss_chart(story: Story, language: Language) -> str:
    """The loss so far as one drawing of at most 500 points: faint as measured, strong as averaged."""
    points = story.points()
    if len(points) < 2:
        return ""
    total = story.steps[-1].total
    losses = [value for _, mean, average in points for value in (mean, average)]
    low, high = min(losses), max(losses)
    span = (high - low) or 1.0

    def place(step: int, loss: float) -> str:
        x = LEFT + (WIDTH - LEFT - 8) * step / total
        return f"{x:.1f},{8 + (HEIGHT - BOTTOM - 8) * (high - loss) / span:.1f}"

    measured = " ".join(place(step, mean) for step, mean, _ in points)
    averaged = " ".join(place(step, average) for step, _, average in points)
    label = translate("train_tab.loss_chart", language, low=f"{low:.3f}", high=f"{high:.3f}")
    floor, right = HEIGHT - BOTTOM, WIDTH - 8
    return (
        f'<svg class="ksh-chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{esc(label)}">'
        f'<path d="M{LEFT} 8V{floor}H{right}"/>'
        f'<text x="{LEFT - 5}" y="14" text-anchor="end">{high:.3f}</text>'
        f'<text x="{LEFT - 5}" y="{floor}" text-anchor="end">{low:.3f}</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 4}">0</text>'
        f'<text x="{right}" y="{HEIGHT - 4}" text-anchor="end">{total}</text>'
        f'<polyline class="measured" points="{measured}"/><polyline class="averaged" points="{averaged}"/></svg>'
    )


def timeline(project: Project, previews: list[Preview], language: Language) -> str:
    """The previews, one row a prompt and seed, from step 0 on: the style comes in from left to right."""
    rows: dict[tuple[str, int], list[Preview]] = {}
    for preview in previews:
        rows.setdefault((preview.prompt, preview.seed), []).append(preview)
    return notes(_row(project, prompt, row, language) for (prompt, _), row in rows.items())


def _row(project: Project, prompt: str, row: list[Preview], language: Language) -> str:
    cells = [
        f'<figure><a href="{esc(address)}"><img src="{esc(address)}" alt="{esc(prompt)}" loading="lazy"></a>'
        f"<figcaption>{esc(_step_name(preview.step, language))}</figcaption></figure>"
        for preview in row
        for address in [url(project, "preview", preview.path.removeprefix("jobs/"))]
    ]
    return f'<div class="ksh-timeline"><p>{esc(prompt)}</p><div>{"".join(cells)}</div></div>'


def _step_name(step: int, language: Language) -> str:
    return translate("train_tab.step", language, step=step) if step else translate("train_tab.before", language)


def results(project: Project, story: Story, language: Language, may_download: bool) -> str:
    """The LoRA files of the job, newest first, with their links, and what was measured."""
    saved = sorted(story.loras, key=lambda lora: lora.step, reverse=True)
    items = [_file(project, lora, language, may_download) for lora in saved]
    older = f"<details class='ksh-details'><summary>{esc(translate('train_tab.older', language, count=len(items) - 1))}"
    older += f'</summary><ul class="ksh-files">{"".join(items[1:])}</ul></details>'
    listed = f'<ul class="ksh-files">{items[0]}</ul>' if items else ""
    listed += older if len(items) > 1 else ""
    figures = story.final.figures if isinstance(story.final, Finished) else {}
    measured = " · ".join(_figure(name, value, language) for name, value in figures.items() if name in FIGURES)
    return listed + (f'<p class="ksh-figures">{measured}</p>' if measured else "")


def _file(project: Project, lora: LoraSaved, language: Language, may_download: bool) -> str:
    path = project.root / lora.path
    size = f"{path.stat().st_size / 1e6:.1f} MB" if path.is_file() else ""
    name = f"{esc(path.name)} <small>{esc(_step_name(lora.step, language))} · {size}</small>"
    address = esc(url(project, "lora", lora.path.removeprefix("jobs/")))
    download = f'<a class="ksh-link" href="{address}" download>{esc(translate("ui.download", language))}</a>'
    return f"<li><span>{name}</span>{download if may_download else ''}</li>"


def _figure(name: str, value: float, language: Language) -> str:
    shown = duration(value, language) if name == "seconds" else f"{value:.4g}"
    return esc(f"{translate(f'train_tab.figure_{name}', language)} {shown}")
