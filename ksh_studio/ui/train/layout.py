"""The components of the Train tab, in groups; a group of the same class holds what is shown in them.

Nothing is wired here: `tab.py` says what the buttons do, `watch.py` what the page shows of a job.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

import gradio as gr

from ksh_studio.config import MAX_PROMPT_CHARACTERS
from ksh_studio.ui.parts.languages import page_text, script
from ksh_studio.ui.parts.theme import html
from ksh_studio.ui.train.chart import BOTTOM, HEIGHT, TOP

V = TypeVar("V")


@dataclass(frozen=True)
class StartButtons(Generic[V]):
    """The buttons under the plan."""

    start: V
    queue: V
    check: V


@dataclass(frozen=True)
class JobButtons(Generic[V]):
    """What can be done with the job that is shown."""

    pause: V
    resume: V
    stop: V
    end: V
    use_lora: V
    next_stage: V
    """The same at the end of the tab."""
    train_on: V
    use_settings: V
    open_folder: V


@dataclass(frozen=True)
class JobDisplay(Generic[V]):
    """What is shown of one job."""

    status: V
    chart: V
    recommended: V
    previews: V
    files: V


@dataclass(frozen=True)
class JobParts:
    """Everything that belongs to the job that is shown."""

    display: JobDisplay[gr.HTML]
    buttons: JobButtons[gr.Button]
    preview_row: gr.Row
    prompt: gr.Textbox
    """What the requested preview shows."""
    preview_now: gr.Button


def start_buttons() -> StartButtons[gr.Button]:
    """The buttons that begin, queue and check a training."""
    with gr.Row(elem_classes="ksh-actions"):
        return StartButtons(
            gr.Button(page_text("train_tab.start"), variant="primary", elem_id="train-start"),
            gr.Button(
                page_text("train_tab.add_to_queue"), variant="primary", elem_id="train-add-to-queue", visible=False
            ),
            gr.Button(page_text("train_tab.check"), elem_id="train-check"),
        )


def job_parts() -> JobParts:
    """The job, from its state to its files."""
    status = html("train-status")
    with gr.Row(elem_classes="ksh-actions"):
        pause = gr.Button(page_text("train_tab.pause"), elem_id="train-pause", visible=False)
        resume = gr.Button(page_text("train_tab.resume"), variant="primary", elem_id="train-resume", visible=False)
        stop = gr.Button(page_text("ui.stop"), variant="stop", elem_id="train-stop", visible=False)
        end = gr.Button(page_text("train_tab.end"), variant="stop", elem_id="train-end", visible=False)
    recommended = html("train-recommended", js_on_load=script("previews.js"))
    with gr.Row(elem_classes="ksh-actions"):
        use = gr.Button(page_text("train_tab.use_this"), variant="primary", elem_id="train-use-lora", visible=False)
        train_on = gr.Button(page_text("train_tab.train_on_this"), elem_id="train-on-this", visible=False)
        again = gr.Button(page_text("train_tab.use_settings"), elem_id="train-use-settings", visible=False)
        folder = gr.Button(page_text("ui.open_folder"), elem_id="train-open-folder", visible=False)
    previews = html("train-previews", js_on_load=script("previews.js") + script("folds.js"))
    with gr.Row(elem_classes="ksh-actions ksh-ask", visible=False) as preview_row:
        prompt = gr.Textbox(
            label=page_text("train_tab.preview_prompt"), info=page_text("train_tab.preview_prompt_info"),
            max_length=MAX_PROMPT_CHARACTERS, scale=4, elem_id="train-preview-prompt",
        )  # fmt: skip
        preview_now = gr.Button(page_text("train_tab.preview_now"), elem_id="train-preview-now", scale=0)
    files = html("train-files", js_on_load=script("pick.js"))
    pointer = script("chart.js", top=TOP, bottom=HEIGHT - BOTTOM)
    chart = html("train-chart", js_on_load=script("folds.js") + pointer)
    with gr.Row(elem_classes="ksh-next"):
        next_stage = gr.Button(page_text("ui.next_generate"), variant="primary", elem_id="train-next", visible=False)
    return JobParts(
        JobDisplay(status, chart, recommended, previews, files),
        JobButtons(pause, resume, stop, end, use, next_stage, train_on, again, folder),
        preview_row,
        prompt,
        preview_now,
    )
