"""Which forms of the page keep what was typed, through a reload and a restarted studio."""

from typing import Any, TypedDict

from pydantic import StrictStr, TypeAdapter, ValidationError

from ksh_studio.errors import StudioError
from ksh_studio.ui.access.guard import guarded_call
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.caption.tab import CaptionTab
from ksh_studio.ui.generate.kept_form import KeptForm, first_form, kept_form, ksh_keep_form
from ksh_studio.ui.generate.tab import GenerateTab
from ksh_studio.ui.parts.drafts import Event, draft_place, form_saved, keep_form
from ksh_studio.ui.parts.languages import script
from ksh_studio.ui.parts.theme import html
from ksh_studio.ui.project_bar import ProjectBar, settings_form
from ksh_studio.ui.train.tab import TrainTab

_CALL = TypeAdapter(tuple[StrictStr])


class Forms(TypedDict):
    """What a page that shows a project is told about its drafts and forms."""

    place: str
    """Where the browser keeps drafts of this project (see `draft_place`)."""
    places: list[str]
    """The places of all projects that there are: drafts of others may go."""
    starts: dict[str, dict[str, Any]]
    """What the project's own forms hold before anything is typed, by the form's name."""
    revision: int
    """Of the Generate form that the studio keeps; 0: it keeps none."""
    values: dict[str, Any]


def draft_scripts(studio: Studio) -> None:
    """The scripts that keep drafts; they stand before everything that uses them."""
    html("drafts", js_on_load=script("drafts.js"))
    calls = [guarded_call(studio, "look", ksh_open_forms), guarded_call(studio, "generate", ksh_keep_form)]
    html("forms", js_on_load=script("forms.js"), server_functions=calls)


def keep_forms(load: Event, bar: ProjectBar, caption: CaptionTab, train: TrainTab, generate: GenerateTab) -> None:
    """Wire every form to its drafts; `load`: the page is opened.

    Gradio runs what follows one event one after the other: this comes before what takes the server longer.
    """
    slug, opened = bar.slug, bar.slug.change
    keep_form("new-project", {"name": bar.new_name}, slug, load, "everywhere")
    keep_form("generate", generate.form, slug, opened, "kept by the studio")
    keep_form("settings", bar.settings, slug, opened, "of the project")
    form_saved("settings", bar.settings, slug, bar.settings_saved.success)
    keep_form("import", {"folder": caption.import_folder}, slug, opened)
    keep_form("caption", caption.form, slug, opened)
    keep_form("train", {"preset": train.preset, **train.form}, slug, opened)
    keep_form("preview", {"prompt": train.preview_prompt}, slug, opened)


def ksh_open_forms(visit: Visit, call: object) -> Forms:
    """`[project]`: what its forms begin with, and what this visitor's Generate form held last."""
    try:
        [slug] = _CALL.validate_python(call)
    except ValidationError as error:
        raise StudioError("caption_tab.bad_call") from error
    project = visit.project(slug)
    kept = kept_form(project.generate_form(visit.guest)) or KeptForm()
    return {
        "place": draft_place(project),
        "places": [draft_place(other) for other in visit.workspace.projects()],
        "starts": {"generate": first_form(visit, project), "settings": settings_form(project)},
        "revision": kept.revision,
        "values": dict(kept.values),
    }
