"""Before a training starts: what it will take, by arithmetic at once, measured by two dry steps when asked."""

from typing import Any

import gradio as gr

from ksh_studio.config import SettledTraining
from ksh_studio.errors import StudioError
from ksh_studio.events import Planned
from ksh_studio.jobs.figures import roughly, share, size
from ksh_studio.jobs.folder import jobs_of
from ksh_studio.jobs.start import start_job
from ksh_studio.locales import Language, Sentence, translate
from ksh_studio.models.registry import base_entry
from ksh_studio.presets import TRAIN_PRESETS
from ksh_studio.project.catalogue.counting import Count, drawings_of
from ksh_studio.project.workspace import Project
from ksh_studio.training.plan.estimate import Estimate, estimate
from ksh_studio.training.plan.preset import fitted_preset
from ksh_studio.training.plan.settle import per_step, settled
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.model_choice import base_of, known_models_only
from ksh_studio.ui.parts.form import chosen_numbers, config_from
from ksh_studio.ui.parts.markup import figures, note, notes
from ksh_studio.ui.train.settings import OPEN, preset_for

UNMEASURED = {"name", "validation_prompts", "seed", "report_to", "init_lora"}
"""Settings that change neither time nor memory: a check with others of them still holds."""
LOOKED_AT = 10
"""Newest jobs among which a check of the same settings is looked for."""


class NothingToTrain(StudioError):
    """The project has no drawings with captions yet."""


def ready(visit: Visit, slug: str, values: dict[str, Any]) -> tuple[Project, SettledTraining]:
    """The project and the settings, every number filled in, as the training will use them.

    Raises StudioError when there is nothing to train on, or a setting is out of its bounds.
    """
    project = visit.project(slug)
    _need_captions(drawings_of(project))
    config = config_from("train", values | {"base_model": base_of(visit, project)})
    return project, settled(config, project, visit.studio.device().kind)


def to_begin(visit: Visit, slug: str, values: dict[str, Any]) -> tuple[Project, SettledTraining]:
    """As `ready`, for work that begins now or later. Raises StudioError for a model that this visitor may not name."""
    project, config = ready(visit, slug, values)
    known_models_only(visit, config.base_model)
    return project, config


def _need_captions(count: Count) -> None:
    if not count.captioned:
        raise NothingToTrain("train_tab.no_captions" if count.total else "train_tab.no_drawings")


def check_first(visit: Visit, slug: str, **values: Any) -> None:
    """Load everything and make two dry steps with the form's settings, in a process of its own."""
    project, config = to_begin(visit, slug, values)
    visit.studio.worker.end()
    start_job(project, "check", config)


def show_plan(visit: Visit, slug: str, preset: str = "", **values: Any) -> list[Any]:
    """The card of what the training will take, or what is wrong with a setting; and its numbers in the empty fields.

    The card also says what the chosen preset had to change for the base model.
    """
    kept = [gr.skip() for _ in OPEN]
    if not slug:
        return [gr.skip(), *kept]
    try:
        project, config = ready(visit, slug, values)
        found = estimate(config, project)
    except StudioError as error:
        kind = "plain" if isinstance(error, NothingToTrain) else "bad"
        return [note(error.text(visit.language), kind), *kept]
    entry = base_entry(config.base_model)
    changes = fitted_preset(preset, entry).changes if config.resolution == entry.native_size else ()
    card = plan_card(found, config, measured(visit, project, config), visit.language, changes)
    return [card, *chosen_numbers(config, OPEN)]


def show_presets(visit: Visit, slug: str) -> gr.Radio | Any:
    """The presets with their steps and time for this project."""
    if not slug:
        return gr.skip()
    return gr.Radio(choices=[(_preset(visit, slug, name), name) for name in TRAIN_PRESETS])


def _preset(visit: Visit, slug: str, name: str) -> str:
    said = [f"{translate(f'train_tab.preset_{name}', visit.language)} – "
            f"{translate(f'train_tab.preset_{name}_about', visit.language)}"]  # fmt: skip
    try:
        project, config = ready(visit, slug, preset_for(visit, slug, name).settings)
        found = estimate(config, project)
    except StudioError:  # nothing to train on yet: the card says so
        return said[0]
    said.append(translate("train_tab.steps", visit.language, steps=found.steps))
    said += [roughly(found.seconds, visit.language)] if found.seconds is not None else []
    return " · ".join(said)


def measured(visit: Visit, project: Project, config: SettledTraining) -> Planned | None:
    """What the newest check, or training, of these very settings measured; None when there was none."""
    wanted = config.model_dump(mode="json", exclude=UNMEASURED)
    for job in jobs_of(project)[:LOOKED_AT]:
        file = job.file
        if file.stage == "caption" or any(file.settings.get(name) != value for name, value in wanted.items()):
            continue
        planned = visit.studio.histories.of(job).planned
        if planned is not None:
            return planned
    return None


def plan_card(
    found: Estimate,
    config: SettledTraining,
    planned: Planned | None,
    language: Language,
    changes: tuple[Sentence, ...] = (),
) -> str:
    """Drawings, sizes, steps, time, memory and disk, measured where that was done; and what a preset had to change."""

    def say(key: str, **values: object) -> str:
        return translate(f"train_tab.{key}", language, **values)

    if planned is not None and planned.drawings + planned.held_out != found.drawings + found.held_out:
        planned = None  # drawings came or went since
    seconds = found.seconds if planned is None else planned.seconds
    unknown = say("unmeasured")
    memory = "–" if planned is None else share(planned.memory_mb, planned.memory_total_mb, language)
    batch = per_step(config)
    held = say("held_out", count=found.held_out) if found.held_out else ""
    rows = [
        (say("row_drawings"), str(found.drawings), held),
        (say("row_sizes"), *_sizes(found.buckets, language)),
        (say("row_steps"), say("steps_of", steps=found.steps, batch=batch),
         say("epochs", epochs=f"{found.epochs:.0f}")),
        (say("row_time"), "–" if seconds is None else roughly(seconds, language),
         unknown if seconds is None else say("measured") if planned is not None else say("from_before")),
        (say("row_memory"), memory, unknown if planned is None else say("measured")),
        (say("row_disk"), size(found.disk_mb), say("free", size=size(found.disk_free_mb))),
        (say("row_model"), base_entry(config.base_model).label,
         say("numbers", rank=config.rank, rate=f"{config.learning_rate:.2g}")),
    ]  # fmt: skip
    said = [figures(rows), *(note(change.text(language), "warn") for change in changes)]
    if found.disk_mb > found.disk_free_mb:
        said.append(note(say("disk_short"), "bad"))
    if planned is not None:
        said.append(_adjusted(config, planned, language))
    return f'<div class="ksh-plan">{notes(said)}</div>'


def _sizes(buckets: tuple[tuple[int, int, int], ...], language: Language) -> tuple[str, str]:
    """The commonest size, and the others with their numbers of drawings."""
    shown = [f"{width}×{height}" for width, height, _ in buckets]
    if len(buckets) < 2:
        return (shown or ["–"])[0], ""
    others = ", ".join(f"{width}×{height} ({count})" for width, height, count in buckets[:4])
    more = f" +{len(buckets) - 4}" if len(buckets) > 4 else ""
    return translate("train_tab.shapes", language, count=len(buckets)), others + more


def _adjusted(config: SettledTraining, planned: Planned, language: Language) -> str:
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
