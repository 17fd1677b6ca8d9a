"""The buttons Generate and Stop: a request is checked, drawn by the worker, and shown as it goes on.

While a training has the device, it is named at once, and may be paused for the picture or asked for a preview.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import gradio as gr

from ksh_studio.config import GenerateConfig
from ksh_studio.errors import StudioError
from ksh_studio.events import Picture, Warned
from ksh_studio.generation.prompt.parse import parse_prompts
from ksh_studio.generation.sampler_menu import check_pair
from ksh_studio.jobs.folder import Job, running_job
from ksh_studio.locales import Sentence, translate
from ksh_studio.project.workspace import Project
from ksh_studio.ui.access.guard import emptied_before_raised
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.generate.busy_device import (
    Instead,
    ask_for_preview,
    busy_note,
    nothing_instead,
    offered_instead,
    pause_and_wait,
    paused_note,
    working_training,
)
from ksh_studio.ui.generate.project_files import check_lora, picture_names, usable_loras
from ksh_studio.ui.generate.view import gallery, generating_state
from ksh_studio.ui.model_choice import base_of, known_models_only
from ksh_studio.ui.parts.events import event_note
from ksh_studio.ui.parts.form import config_from
from ksh_studio.ui.parts.markup import Html, bar, notes
from ksh_studio.ui.parts.outputs import UNCHANGED, Unchanged, Update
from ksh_studio.ui.server.files import file_url

NOTHING = Html()


@dataclass(frozen=True)
class Generating:
    """What a request changes on the page while it is drawn, and its components."""

    status: gr.HTML | str
    pictures: gr.HTML | str | Unchanged = UNCHANGED
    instead: Instead[gr.Button, gr.State] | Instead[Update, bool] | Unchanged = UNCHANGED
    """What can be done while a job has the device."""


def generate(visit: Visit, slug: str, **values: object) -> Iterator[Generating]:
    """Draw with the form's settings, or say which job has the device.

    Yields the state and the gallery as the worker goes on.
    """
    project = visit.project(slug)
    config = request_config(visit, project, values)
    job = running_job(visit.workspace)
    if job is None:
        yield from _draw(visit, project, config)
    else:
        yield _busy(visit, job)


def pause_and_draw(visit: Visit, slug: str, **values: object) -> Iterator[Generating]:
    """As `generate`, after the training that has the device is paused; it stays paused until it is resumed."""
    project = visit.project(slug)
    config = request_config(visit, project, values)
    if running_job(visit.workspace) is None:  # it has ended since the button was shown
        yield from _draw(visit, project, config)
        return
    job = working_training(visit)
    pausing = translate("generate_tab.pausing", visit.language, name=job.project.settings().name)
    yield Generating(bar(0, 0, pausing), instead=nothing_instead())
    try:
        pause_and_wait(job)
    except StudioError:
        yield Generating("")  # takes the progress away
        raise
    yield from _draw(visit, project, config, paused_note(job, visit.language))


def preview_instead(visit: Visit, prompt: str) -> Generating:
    """Ask the training that has the device for a preview of this prompt."""
    return Generating(ask_for_preview(visit, prompt))


def show_busy(visit: Visit, offered: bool) -> Generating | Unchanged:
    """Which job has the device, as soon as the tab is looked at; offered: whether the page says that one has it."""
    job = running_job(visit.workspace)
    if job is not None:
        return _busy(visit, job)
    return Generating("", instead=nothing_instead()) if offered is True else UNCHANGED


def _busy(visit: Visit, job: Job) -> Generating:
    return Generating(busy_note(visit, job), instead=offered_instead(visit, job))


def _draw(visit: Visit, project: Project, config: GenerateConfig, before: Html = NOTHING) -> Iterator[Generating]:
    """Draw, and show it; before: what stands under the state from the beginning."""
    language, warnings = visit.language, [before]
    explained = parse_prompts(config.prompt, config.negative_prompt).sentences()  # stands under the prompt already
    yield Generating(notes([bar(0, 0, translate("ui.starting", language)), before]), instead=nothing_instead())
    if not visit.studio.worker.busy:  # theirs from the start, so that they may stop it while the model is still loading
        visit.studio.turn.key = visit.key
    for event in emptied_before_raised(visit.studio.worker.generate(config, project)):
        if isinstance(event, str):
            yield Generating(event)
            continue
        visit.studio.turn.key = visit.key
        if isinstance(event, Warned) and Sentence(key=event.key, values=event.values) not in explained:
            warnings.append(event_note(event, language))
        state = generating_state(event, language)
        if state is not None:
            pictures = show_gallery(visit, project) if isinstance(event, Picture) else UNCHANGED
            yield Generating(notes([state, *warnings]), pictures)


def request_config(visit: Visit, project: Project, values: dict[str, object]) -> GenerateConfig:
    """The settings of a request from what the form holds, with the base model that is used.

    Raises StudioError for a setting out of its bounds, a model or LoRA file that this visitor may not name, and a LoRA
    file that is not there.
    """
    named = str(values.pop("base_model", ""))
    known_models_only(visit, named)  # the model that the owner has set for the project is for everybody
    config = config_from(GenerateConfig, values | {"base_model": base_of(visit, project, named)})
    check_pair(config.sampler, config.schedule)
    if config.lora and not visit.may("server_path") and config.lora not in usable_loras(project):
        raise StudioError("lora.missing", name=config.lora[:200])
    if config.lora:
        check_lora(project, config.lora)
    return config


def stop_generating(visit: Visit) -> None:
    """Stop the visitor's own picture after its current step; the owner may stop anybody's."""
    if visit.role != "owner" and visit.studio.turn.key != visit.key:
        raise StudioError("access.not_yours")
    visit.studio.worker.interrupt()


def show_gallery(visit: Visit, project: Project) -> str:
    """The project's newest pictures, as they are on the disk now."""
    return gallery(picture_names(project), partial(file_url, project, "picture"), visit.language)
