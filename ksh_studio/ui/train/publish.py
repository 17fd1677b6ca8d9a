"""Publish a LoRA on the Hugging Face Hub: first the list of what would be sent, then exactly that."""

import hashlib
from dataclasses import dataclass

import gradio as gr

from ksh_studio.errors import StudioError
from ksh_studio.jobs.figures import size
from ksh_studio.locales import Language, translate
from ksh_studio.lora.publishing import Publication, plan_publication
from ksh_studio.lora.publishing import publish as upload
from ksh_studio.paths import inside
from ksh_studio.ui.access.guard import filling
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.form import Form, form_inputs
from ksh_studio.ui.parts.languages import page_text
from ksh_studio.ui.parts.markup import details, entry, listing, note, notes
from ksh_studio.ui.parts.outputs import QUIET, Update, visible
from ksh_studio.ui.parts.theme import html
from ksh_studio.ui.train.actions import lora_of, ticked_steps


@dataclass(frozen=True)
class DryRun:
    """What would be sent: the components, and what is shown in them."""

    message: gr.HTML | str
    fingerprint: gr.State | str
    """A hash of what was listed: nothing else is sent."""
    publish: gr.Button | Update


@dataclass(frozen=True)
class PublishParts:
    """The form and the buttons."""

    form: Form
    """Repository, licence, whether private."""
    message: gr.HTML
    list_files: gr.Button
    publish: gr.Button
    fingerprint: gr.State

    @property
    def dry_run(self) -> DryRun:
        """The components that the handlers fill."""
        return DryRun(self.message, self.fingerprint, self.publish)


def build_publish() -> PublishParts:
    """The components."""
    with gr.Row():
        form: Form = {
            "repository": gr.Textbox(
                label=page_text("train_tab.repository"),
                info=page_text("train_tab.repository_info"),
                max_lines=1,
                elem_id="publish-repository",
            ),
            "licence": gr.Textbox(
                label=page_text("train_tab.licence"),
                info=page_text("train_tab.licence_info"),
                max_lines=1,
                elem_id="publish-licence",
            ),
            "private": gr.Checkbox(
                True,
                label=page_text("train_tab.private"),
                info=page_text("train_tab.private_info"),
                elem_id="publish-private",
            ),
        }
    message = html("publish-message")
    with gr.Row(elem_classes="ksh-actions"):
        list_files = gr.Button(page_text("train_tab.publish_list"), elem_id="publish-list")
        publish = gr.Button(
            page_text("train_tab.publish_send"), variant="primary", elem_id="publish-send", visible=False
        )
    return PublishParts(form, message, list_files, publish, gr.State(""))


def wire_publish(studio: Studio, parts: PublishParts, of_job: list[gr.Textbox], steps: gr.CheckboxGroup) -> None:
    """What the buttons do; a change of anything asks for the list again."""
    form, dry_run, of_files = form_inputs(parts.form), parts.dry_run, [*of_job, steps]
    listing_files = filling(studio, "publish", list_files, dry_run)
    parts.list_files.click(inputs=of_files, inputs_kwargs=form, **listing_files, **QUIET)
    # queued: an upload may take minutes, and the page shows that it goes on
    publishing = filling(studio, "publish", publish, dry_run)
    parts.publish.click(
        inputs=[*of_files, parts.fingerprint],
        inputs_kwargs=form,
        api_visibility="private",
        show_progress="minimal",
        **publishing,
    )
    changes = [steps.change, *(component.change for component in parts.form.values())]
    gr.on(changes, inputs=None, **filling(studio, "look", clear, dry_run), **QUIET)


def list_files(visit: Visit, slug: str, job_id: str, steps: list[int], **form: object) -> DryRun:
    """The dry run: every file that would be sent, and the model card. Nothing leaves the machine."""
    publication = _publication(visit, lora_of(visit, slug, job_id, _first(steps)), form)
    return DryRun(file_list(publication, visit.language), fingerprint(publication), visible(True))


def publish(visit: Visit, slug: str, job_id: str, steps: list[int], listed: str, **form: object) -> DryRun:
    """Upload exactly what was listed.

    listed: the fingerprint of that. Raises StudioError when it is another thing by now, and as `lora.publishing` does.
    """
    publication = _publication(visit, lora_of(visit, slug, job_id, _first(steps)), form)
    if listed != fingerprint(publication):
        raise StudioError("publish.changed", name=publication.repo_id)
    address = upload(publication)
    return DryRun(note(translate("publish.done", visit.language, url=address), "good"), "", visible(False))


def clear(visit: Visit) -> DryRun:
    """Something else is to be published: the list is void."""
    return DryRun("", "", visible(False))


def _first(steps: list[int]) -> int | None:
    return next(iter(ticked_steps(steps)), None)


def _publication(visit: Visit, path: str, form: dict[str, object]) -> Publication:
    name, licence = (str(form.get(key) or "").strip() for key in ("repository", "licence"))
    private = form.get("private") is not False
    return plan_publication(visit.workspace, inside(visit.workspace.root, path), name, private, licence.lower()[:50])


def fingerprint(publication: Publication) -> str:
    """A hash of everything that would be sent, and where to."""
    files = ((file.name, file.sha256) for file in publication.files)
    return hashlib.sha256(repr([publication.repo_id, publication.private, *files]).encode()).hexdigest()


def file_list(publication: Publication, language: Language) -> str:
    """The dry run as the page shows it."""
    visibility = translate("publish.private" if publication.private else "publish.public", language)
    values = {"name": publication.repo_id, "visibility": visibility, "size": size(publication.bytes / 1e6)}
    plan = note(translate("publish.planned", language, **values), "plain" if publication.private else "warn")
    files = listing(entry(file.name, f"{file.bytes:,} B") for file in publication.files)
    return notes([plan, files, details(translate("train_tab.model_card", language), publication.card)])
