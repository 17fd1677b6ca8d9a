"""Before a training starts: what it will take, by arithmetic at once, measured by two dry steps when asked."""

from collections.abc import Mapping
from dataclasses import dataclass

import gradio as gr

from ksh_studio.config import SettledTraining, TrainConfig
from ksh_studio.errors import StudioError
from ksh_studio.events import Planned
from ksh_studio.jobs.figures import roughly, share, size
from ksh_studio.jobs.folder import jobs_of
from ksh_studio.jobs.start import start_job
from ksh_studio.locales import Language, Sentence, translate
from ksh_studio.marks import affecting
from ksh_studio.models.registry import base_entry
from ksh_studio.presets import TRAIN_PRESETS
from ksh_studio.project.catalogue.counting import Count, drawings_of, require_catalogue
from ksh_studio.project.workspace import Project
from ksh_studio.training.plan.estimate import Estimate, estimate
from ksh_studio.training.plan.preset import fitted_preset
from ksh_studio.training.plan.settle import per_step, settled
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.model_choice import base_of, known_models_only
from ksh_studio.ui.parts.form import Field, config_from, placeholders
from ksh_studio.ui.parts.markup import Html, element, figures, note
from ksh_studio.ui.parts.outputs import UNCHANGED, Unchanged
from ksh_studio.ui.train.settings import OPEN, preset_for

PLAN = "plan"
"""The events that show the plan answer in this order (see `parts.outputs.in_order`)."""
LOOKED_AT = 10
"""Newest jobs among which a check of the same settings is looked for."""


@dataclass(frozen=True)
class PlanView:
    """What the training will take, and the form's numbers; the components, and what is shown in them."""

    table: gr.HTML | str
    numbers: Mapping[str, Field] | Unchanged = UNCHANGED
    """The settings that may be left empty; what will be used stands in them in grey."""


class NothingToTrain(StudioError):
    """The project has no drawings with captions yet."""


def settings_to_use(visit: Visit, slug: str, values: Mapping[str, object]) -> tuple[Project, SettledTraining]:
    """The project and the settings, every number filled in, as the training will use them.

    Raises StudioError when there is nothing to train on, or a setting is out of its bounds.
    """
    project = visit.project(slug)
    require_catalogue(project)
    _need_captions(drawings_of(project))
    config = config_from(TrainConfig, {**values, "base_model": base_of(visit, project)})
    return project, settled(config, project, visit.studio.device().type)


def settings_to_begin(visit: Visit, slug: str, values: Mapping[str, object]) -> tuple[Project, SettledTraining]:
    """As `settings_to_use`, for work that begins now or later.

    Raises StudioError also for a model that this visitor may not name.
    """
    project, config = settings_to_use(visit, slug, values)
    known_models_only(visit, config.base_model)
    return project, config


def _need_captions(count: Count) -> None:
    if not count.captioned:
        raise NothingToTrain("train_tab.no_captions" if count.total else "train_tab.no_drawings")


def check(visit: Visit, slug: str, **values: object) -> None:
    """Load everything and make two dry steps with the form's settings, in a process of its own."""
    project, config = settings_to_begin(visit, slug, values)
    visit.studio.worker.end()
    start_job(project, "check", config)


def show_plan(visit: Visit, slug: str, preset: str = "", **values: object) -> PlanView | Unchanged:
    """A table of what the training will take, or what is wrong with a setting; and its numbers in the empty fields.

    The table also says what the chosen preset had to change for the base model.
    """
    if not slug:
        return UNCHANGED
    try:
        project, config = settings_to_use(visit, slug, values)
        cost = estimate(config, project)
    except StudioError as error:
        kind = "plain" if isinstance(error, NothingToTrain) else "bad"
        return PlanView(note(error.text(visit.language), kind))
    entry = base_entry(config.base_model)
    changes = fitted_preset(preset, entry).changes if config.resolution == entry.native_size else ()
    table = plan_table(cost, config, measured(visit, project, config), visit.language, changes)
    return PlanView(table, placeholders(config, OPEN))


def show_presets(visit: Visit, slug: str) -> gr.Radio | Unchanged:
    """The presets with their steps and time for this project."""
    if not slug:
        return UNCHANGED
    return gr.Radio(choices=[(_preset(visit, slug, name), name) for name in TRAIN_PRESETS])


def _preset(visit: Visit, slug: str, name: str) -> str:
    title = translate(f"train_tab.preset_{name}", visit.language)
    parts = [f"{title} – {translate(f'train_tab.preset_{name}_about', visit.language)}"]
    try:
        project, config = settings_to_use(visit, slug, preset_for(visit, slug, name).settings)
        cost = estimate(config, project)
    except StudioError:  # nothing to train on yet: the table says so
        return parts[0]
    parts.append(translate("train_tab.steps", visit.language, steps=cost.steps))
    if cost.seconds is not None:
        parts.append(roughly(cost.seconds, visit.language))
    return " · ".join(parts)


def measured(visit: Visit, project: Project, config: SettledTraining) -> Planned | None:
    """What the newest check, or training, of these very settings measured; None when there was none."""
    settings = config.model_dump(mode="json", exclude=set(affecting(TrainConfig, "result")))
    for job in jobs_of(project)[:LOOKED_AT]:
        file = job.file
        if file.stage not in ("train", "check") or any(
            file.settings.get(name) != value for name, value in settings.items()
        ):
            continue
        planned = visit.studio.histories.of(job).planned
        if planned is not None:
            return planned
    return None


def plan_table(
    cost: Estimate,
    config: SettledTraining,
    planned: Planned | None,
    language: Language,
    changes: tuple[Sentence, ...] = (),
) -> str:
    """Drawings, sizes, steps, time, memory and disk, measured where that was done; and what a preset had to change."""

    def say(key: str, **values: object) -> str:
        return translate(f"train_tab.{key}", language, **values)

    if planned is not None and planned.drawings + planned.held_out != cost.drawings + cost.held_out:
        planned = None  # drawings came or went since
    seconds = cost.seconds if planned is None else planned.seconds
    unknown = say("unmeasured")
    memory = "–" if planned is None else share(planned.memory_mb, planned.memory_total_mb, language)
    batch = per_step(config)
    held = say("held_out", count=cost.held_out) if cost.held_out else ""
    rows = [
        (say("row_drawings"), str(cost.drawings), held),
        (say("row_sizes"), *_sizes(cost.buckets, language)),
        (say("row_steps"), say("steps_of", steps=cost.steps, batch=batch),
         say("epochs", epochs=f"{cost.epochs:.0f}")),
        (say("row_time"), "–" if seconds is None else roughly(seconds, language),
         unknown if seconds is None else say("measured") if planned is not None else say("from_before")),
        (say("row_memory"), memory, unknown if planned is None else say("measured")),
        (say("row_disk"), size(cost.disk_mb), say("free", size=size(cost.disk_free_mb))),
        (say("row_model"), base_entry(config.base_model).label,
         say("numbers", rank=config.rank, rate=f"{config.learning_rate:.2g}")),
    ]  # fmt: skip
    blocks = [figures(rows), *(note(change.text(language), "warn") for change in changes)]
    if cost.disk_mb > cost.disk_free_mb:
        blocks.append(note(say("disk_short"), "bad"))
    if planned is not None:
        blocks.append(_adjusted(config, planned, language))
    return element("div", *blocks, class_="ksh-plan")


def _sizes(buckets: tuple[tuple[int, int, int], ...], language: Language) -> tuple[str, str]:
    """The commonest size, and the others with their numbers of drawings."""
    if len(buckets) < 2:
        return next((f"{width}×{height}" for width, height, _ in buckets), "–"), ""
    others = ", ".join(f"{width}×{height} ({count})" for width, height, count in buckets[:4])
    more = f" +{len(buckets) - 4}" if len(buckets) > 4 else ""
    return translate("train_tab.shapes", language, count=len(buckets)), others + more


def _adjusted(config: SettledTraining, planned: Planned, language: Language) -> Html:
    """What was changed so that it fits into the memory."""
    changes = []
    if planned.train_batch_size != config.train_batch_size:
        changes.append(translate("train_tab.adjusted_batch", language, batch=planned.train_batch_size))
    if planned.split > 1:
        changes.append(translate("train_tab.adjusted_split", language, parts=planned.split))
    if planned.gradient_checkpointing and not config.gradient_checkpointing:
        changes.append(translate("train_tab.adjusted_checkpointing", language))
    if not changes:
        return note(translate("train_tab.fits", language), "good")
    return note(translate("train_tab.adjusted", language, what=", ".join(changes)), "warn")
