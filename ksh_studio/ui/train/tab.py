"""The Train tab: what it will take, start and queue, the job live, its previews, and which checkpoint to use."""

from dataclasses import dataclass

import gradio as gr

from ksh_studio.ui.access.guard import filling, guarded
from ksh_studio.ui.access.roles import Action
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.updates import errors_in_place
from ksh_studio.ui.parts.form import Form, form_inputs
from ksh_studio.ui.parts.languages import page_text, script
from ksh_studio.ui.parts.outputs import QUIET, News, in_order
from ksh_studio.ui.parts.theme import html
from ksh_studio.ui.train.actions import end, open_job_folder, pause, preview_now, resume, show_job, start, stop
from ksh_studio.ui.train.files import FileTools, build_file_tools, wire_file_tools
from ksh_studio.ui.train.layout import JobButtons, JobParts, StartButtons, job_parts, start_buttons
from ksh_studio.ui.train.plan import PLAN, PlanView, check, show_plan
from ksh_studio.ui.train.queue import dequeue, queue
from ksh_studio.ui.train.settings import OPEN, TOUCHED, preset_radio, preset_values, settings_form
from ksh_studio.ui.train.watch import TrainDisplay, poll


@dataclass(frozen=True)
class TrainTab:
    """What `app.py` wires to other tabs."""

    use_lora: gr.Button
    """Use the recommended LoRA in Generate."""
    next_stage: gr.Button
    """The same, at the end of the tab."""
    files: gr.HTML
    """Its `select` names the step whose LoRA is to be used."""
    job_id: gr.Textbox
    """Id of the job that was picked among the earlier ones; empty: the one that works, else the newest."""
    restricted: list[tuple[gr.blocks.Block, Action]]
    plan: PlanView
    """What `show_plan` fills."""
    preset: gr.Radio
    checked: gr.Textbox
    """Changes when a check has ended."""
    form: Form
    preview_prompt: gr.Textbox


@dataclass(frozen=True)
class _NewTraining:
    """Where a training is begun."""

    accordion: gr.Accordion
    preset: gr.Radio
    form: Form
    plan: PlanView
    check_status: gr.HTML
    buttons: StartButtons[gr.Button]
    started: gr.Textbox
    """Id of the job that was begun; hidden."""
    checked: gr.Textbox


def build(studio: Studio, slug: gr.Textbox, changes: gr.HTML, messages: gr.HTML) -> TrainTab:
    """Build the tab's components and events."""
    gr.Markdown(page_text("train_tab.intro"), elem_classes="ksh-intro")
    job_id = gr.Textbox(visible="hidden", elem_id="train-job", label="job", container=False)
    new = _new_training()
    waiting = html("train-queue", js_on_load=script("pick.js"))
    job = job_parts()
    with gr.Accordion(page_text("train_tab.more"), open=False, visible=False, elem_id="train-more") as more:
        tools = build_file_tools()
    earlier = gr.Dropdown(
        label=page_text("train_tab.earlier"), elem_id="train-earlier", visible=False, filterable=False
    )

    _wire_new(studio, new, slug, job_id)
    waiting.select(guarded(studio, "train", dequeue), None, None, **QUIET)
    _wire_job(studio, job, [slug, job_id], messages)
    earlier.input(inputs=[slug, earlier], **filling(studio, "look", show_job, job_id), **QUIET)
    wire_file_tools(studio, tools, job.buttons, [slug, job_id], new.form, new.accordion)
    display = _display(new, waiting, job, more, tools, earlier)
    seen = gr.State({})
    watched = errors_in_place(poll, lambda error: {"job": {"status": error}})
    changes.tick(inputs=[slug, job_id, seen], **filling(studio, "look", watched, News(seen, display)), **QUIET)
    restricted: list[tuple[gr.blocks.Block, Action]] = [(new.accordion, "train"), (new.buttons.start, "train")]
    return TrainTab(
        use_lora=job.buttons.use_lora,
        next_stage=job.buttons.next_stage,
        files=job.display.files,
        job_id=job_id,
        restricted=restricted,
        plan=new.plan,
        preset=new.preset,
        checked=new.checked,
        form=new.form,
        preview_prompt=job.prompt,
    )


def _new_training() -> _NewTraining:
    started = gr.Textbox(visible="hidden", elem_id="train-started", label="started", container=False)
    checked = gr.Textbox(visible="hidden", elem_id="train-checked", label="checked", container=False)
    with gr.Accordion(page_text("train_tab.new"), open=True, elem_id="train-new") as accordion:
        preset = preset_radio()
        with gr.Accordion(page_text("ui.settings"), open=False, elem_id="train-settings"):
            form = settings_form()
        plan = PlanView(html("train-plan", js_on_load=script("folds.js")), {name: form[name] for name in OPEN})
        check_status = html("train-checking")
        buttons = start_buttons()
    return _NewTraining(accordion, preset, form, plan, check_status, buttons, started, checked)


def _display(
    new: _NewTraining, waiting: gr.HTML, job: JobParts, more: gr.Accordion, tools: FileTools, earlier: gr.Dropdown
) -> TrainDisplay:
    """The components that `poll` fills."""
    return TrainDisplay(
        job=job.display,
        job_buttons=job.buttons,
        preview_row=job.preview_row,
        more=more,
        steps=tools.steps,
        start_buttons=new.buttons,
        new=new.accordion,
        check_status=new.check_status,
        checked=new.checked,
        waiting=waiting,
        earlier=earlier,
    )


def _wire_new(studio: Studio, new: _NewTraining, slug: gr.Textbox, job_id: gr.Textbox) -> None:
    """What the settings and the buttons under them do."""
    settings, buttons = form_inputs(new.form), new.buttons
    begin = filling(studio, "train", start, new.started)
    buttons.start.click(inputs=slug, inputs_kwargs=settings, api_name="train", queue=False, **begin)
    buttons.queue.click(guarded(studio, "train", queue), slug, None, inputs_kwargs=settings, **QUIET)
    buttons.check.click(guarded(studio, "train", check), slug, None, inputs_kwargs=settings, **QUIET)
    # the newest is shown again, whichever was looked at before
    new.started.change(None, None, job_id, js="() => ''", **QUIET)
    presets = filling(studio, "look", preset_values, {name: new.form[name] for name in TOUCHED})
    new.preset.input(inputs=[slug, new.preset, new.form["validation_prompts"]], **presets, **QUIET)
    changes = [*(component.change for component in new.form.values()), new.checked.change]
    plan = filling(studio, "look", show_plan, new.plan)
    gr.on(changes, inputs=[slug, new.preset], inputs_kwargs=settings, **plan, **in_order(PLAN))


def _wire_job(studio: Studio, job: JobParts, of_job: list[gr.Textbox], messages: gr.HTML) -> None:
    """What the buttons of a job do."""
    buttons: JobButtons[gr.Button] = job.buttons
    buttons.pause.click(guarded(studio, "train", pause), of_job, None, **QUIET)
    buttons.resume.click(guarded(studio, "train", resume), of_job, None, **QUIET)
    buttons.stop.click(guarded(studio, "train", stop), of_job, None, **QUIET)
    buttons.end.click(guarded(studio, "train", end), of_job, None, **QUIET)
    buttons.open_folder.click(guarded(studio, "open_folder", open_job_folder), of_job, None, **QUIET)
    asking = [job.preview_now.click, job.prompt.submit]
    gr.on(asking, inputs=[*of_job, job.prompt], **filling(studio, "train", preview_now, messages), **QUIET)
