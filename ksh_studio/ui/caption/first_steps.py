"""A project without drawings: the three steps with a large drop zone, in place of what needs drawings."""

from dataclasses import dataclass

import gradio as gr

from ksh_studio.errors import StudioError
from ksh_studio.locales import translate
from ksh_studio.project.catalogue.counting import Count, drawings_of
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.markup import element, joined
from ksh_studio.ui.parts.outputs import UNCHANGED, Unchanged, Update, visible

STEPS = ("drop", "describe", "train")
UNKNOWN = element("span", class_="ksh-unknown")
"""In their place until the studio has said whether there are drawings."""


@dataclass(frozen=True)
class FirstSteps:
    """What depends on there being drawings and captions, and its components."""

    steps: gr.HTML | str
    """Where they stand, the styles hide what needs drawings (`#caption-contents`): its scripts run all the same."""
    next_stage: gr.Button | Update
    """The button that leads to the Train tab."""


def show_first_steps(visit: Visit, slug: str) -> FirstSteps | Unchanged:
    """The steps where the project is known to be empty; else its contents, and the way on once there are captions."""
    if not slug:
        return UNCHANGED
    try:
        count = drawings_of(visit.project(slug))
    except StudioError:  # the contents say what is wrong with them
        count = Count(total=0, captioned=0, unlisted=1)
    empty = not count.total and not count.unlisted
    steps = _steps(visit) if empty and visit.may("import") else ""
    return FirstSteps(steps, visible(count.captioned > 0))


def open_train(visit: Visit) -> gr.Tabs:
    """Go on to the Train tab."""
    return gr.Tabs(selected="train")


def _steps(visit: Visit) -> str:
    lines = (element("li", translate(f"caption_tab.first_{step}", visit.language)) for step in STEPS)
    return element("ol", joined(lines), class_="ksh-first-steps")
