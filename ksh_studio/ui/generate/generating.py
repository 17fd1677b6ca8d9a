"""The buttons Generate and Stop: a request is checked, drawn by the worker, and shown as it goes on."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import gradio as gr

from ksh_studio.config import GenerateConfig
from ksh_studio.errors import StudioError
from ksh_studio.events import Picture, Warned
from ksh_studio.generation.prompt.parse import parse_prompts
from ksh_studio.generation.sampler_menu import check_pair
from ksh_studio.locales import Sentence, translate
from ksh_studio.project.workspace import Project
from ksh_studio.ui.access.guard import emptied_before_raised
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.generate.project_files import check_lora, picture_names, usable_loras
from ksh_studio.ui.generate.view import gallery, generating_state
from ksh_studio.ui.model_choice import base_of, known_models_only
from ksh_studio.ui.parts.events import event_note
from ksh_studio.ui.parts.form import config_from
from ksh_studio.ui.parts.markup import bar, notes
from ksh_studio.ui.parts.outputs import UNCHANGED, Unchanged
from ksh_studio.ui.server.files import file_url


@dataclass(frozen=True)
class Generating:
    """What a request changes on the page while it is drawn, and its components."""

    status: gr.HTML | str
    pictures: gr.HTML | str | Unchanged = UNCHANGED


def generate(visit: Visit, slug: str, **values: object) -> Iterator[Generating]:
    """Draw with the form's settings; yields the state and the gallery as the worker goes on."""
    project = visit.project(slug)
    config = request_config(visit, project, values)
    language, warnings = visit.language, []
    explained = parse_prompts(config.prompt, config.negative_prompt).sentences()  # stands under the prompt already
    yield Generating(bar(0, 0, translate("ui.starting", language)))
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
