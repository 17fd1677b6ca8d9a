"""Before a training starts: what it will take, by arithmetic at once, measured by two dry steps when asked."""

from collections.abc import Mapping
from dataclasses import dataclass

import gradio as gr

from ksh_studio.config import SettledTraining, TrainConfig
from ksh_studio.errors import StudioError
from ksh_studio.events import Planned
from ksh_studio.jobs.figures import roughly
from ksh_studio.jobs.folder import jobs_of
from ksh_studio.jobs.start import start_job
from ksh_studio.locales import translate
from ksh_studio.marks import affecting
from ksh_studio.models.registry import base_entry
from ksh_studio.presets import TRAIN_PRESETS
from ksh_studio.project.catalogue.counting import Count, drawings_of, require_catalogue
from ksh_studio.project.workspace import Project
from ksh_studio.training.plan.estimate import Estimate, estimate
from ksh_studio.training.plan.preset import fitted_preset
from ksh_studio.training.plan.settle import settled
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.model_choice import base_of, known_models_only
from ksh_studio.ui.parts.form import Field, config_from, placeholders
from ksh_studio.ui.parts.markup import note
from ksh_studio.ui.parts.outputs import UNCHANGED, Unchanged
from ksh_studio.ui.train.plan_card import plan_card
from ksh_studio.ui.train.settings import OPEN, preset_for

PLAN = "plan"
"""The events that show the plan answer in this order (see `parts.outputs.in_order`)."""
LOOKED_AT = 10
"""Newest jobs among which a check of the same settings is looked for."""


@dataclass(frozen=True)
class PlanView:
    """What the training will take, and the form's numbers; the components, and what is shown in them."""

    card: gr.HTML | str
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
    """What the training will take, or what is wrong with a setting; and its numbers in the empty fields.

    It also says what the chosen preset had to change for the base model.
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
    card = plan_card(cost, config, measured(visit, project, config, cost), visit.language, changes)
    return PlanView(card, placeholders(config, OPEN))


def show_presets(visit: Visit, slug: str) -> gr.Radio | Unchanged:
    """The presets with their steps and time for this project."""
    if not slug:
        return UNCHANGED
    return gr.Radio(choices=[(_preset(visit, slug, name), name) for name in TRAIN_PRESETS])


def _preset(visit: Visit, slug: str, name: str) -> str:
    """A preset's card: its name and time on the first line, which is large, what it is for on the second."""
    title = translate(f"train_tab.preset_{name}", visit.language)
    about = translate(f"train_tab.preset_{name}_about", visit.language)
    try:
        project, config = settings_to_use(visit, slug, preset_for(visit, slug, name).settings)
        cost = estimate(config, project)
    except StudioError:  # nothing to train on yet: the plan says so
        return f"{title}\n{about}"
    steps = translate("train_tab.steps", visit.language, steps=cost.steps)
    planned = measured(visit, project, config, cost)
    seconds = cost.seconds if planned is None else planned.seconds
    time = f" · {roughly(seconds, visit.language)}" if seconds is not None else ""
    return f"{title}{time}\n{about} · {steps}"


def measured(visit: Visit, project: Project, config: SettledTraining, cost: Estimate) -> Planned | None:
    """What the newest check, or training, of these very settings measured; None when there was none.

    cost: as estimated for the drawings that there are now; what was measured with others of them does not hold.
    """
    settings = config.model_dump(mode="json", exclude=set(affecting(TrainConfig, "result")))
    for job in jobs_of(project)[:LOOKED_AT]:
        file = job.file
        if file.stage not in ("train", "check") or any(
            file.settings.get(name) != value for name, value in settings.items()
        ):
            continue
        planned = visit.studio.histories.of(job).planned
        if planned is not None and planned.drawings + planned.held_out == cost.drawings + cost.held_out:
            return planned
    return None
