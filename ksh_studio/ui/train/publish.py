"""A LoRA to the Hugging Face Hub: first the list of what would be sent, then exactly that."""

import hashlib
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ksh_studio.disk import inside
from ksh_studio.errors import StudioError
from ksh_studio.jobs.figures import size
from ksh_studio.locales import Language, translate
from ksh_studio.lora.publishing import Publication, plan_publication, publish
from ksh_studio.ui.access.guard import guarded
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.parts.languages import t
from ksh_studio.ui.parts.markup import details, esc, note
from ksh_studio.ui.parts.theme import html
from ksh_studio.ui.train.actions import lora_of, steps_of

QUIET: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}


@dataclass(frozen=True)
class Push:
    """What is asked for, and the two buttons."""

    where: dict[str, gr.components.Component]
    """Repository, licence, whether private: by name."""
    show: gr.Button
    send: gr.Button
    said: gr.HTML
    seen: gr.State
    """Fingerprint of what was shown: nothing else is sent."""


def build_push() -> Push:
    """The components."""
    with gr.Row():
        repository = gr.Textbox(
            label=t("train_tab.repository"), info=t("train_tab.repository_info"), max_lines=1, elem_id="push-repository"
        )
        licence = gr.Textbox(
            label=t("train_tab.licence"), info=t("train_tab.licence_info"), max_lines=1, elem_id="push-licence"
        )
        private = gr.Checkbox(
            True, label=t("train_tab.private"), info=t("train_tab.private_info"), elem_id="push-private"
        )
    said = html("push-said")
    with gr.Row(elem_classes="ksh-actions"):
        show = gr.Button(t("train_tab.push_show"), elem_id="push-show")
        send = gr.Button(t("train_tab.push_send"), variant="primary", elem_id="push-send", visible=False)
    return Push({"repository": repository, "licence": licence, "private": private}, show, send, said, gr.State(""))


def wire_push(studio: Studio, push: Push, of_lora: list[gr.components.Component]) -> None:
    """What its buttons do; a change of anything asks for the list again. of_lora: project, job, steps picked."""
    shown = [push.said, push.seen, push.send]
    push.show.click(guarded(studio, "publish", show_first), of_lora, shown, inputs_kwargs=push.where, **QUIET)
    sending = guarded(studio, "publish", send_it)
    # queued: an upload may take minutes, and the page shows that it goes on
    asked = {"inputs_kwargs": push.where, "api_visibility": "private", "show_progress": "minimal"}
    push.send.click(sending, [*of_lora, push.seen], shown, **asked)
    changes = [component.change for component in (of_lora[-1], *push.where.values())]
    gr.on(changes, guarded(studio, "look", forget), None, shown, **QUIET)


def show_first(visit: Visit, slug: str, chosen: str, picked: list[int], **where: Any) -> list[Any]:
    """The dry run: every file that would be sent, and the model card. Nothing leaves the machine."""
    found = _prepared(visit, (slug, chosen, picked), where)
    return [listed(found, visit.language), fingerprint(found), gr.update(visible=True)]


def send_it(visit: Visit, slug: str, chosen: str, picked: list[int], seen: str, **where: Any) -> list[Any]:
    """Upload exactly what was shown. Raises StudioError when it is another thing by now, and as `publish` does."""
    found = _prepared(visit, (slug, chosen, picked), where)
    if seen != fingerprint(found):
        raise StudioError("publish.changed", name=found.repo_id)
    url = publish(found)
    return [note(translate("publish.done", visit.language, url=url), "good"), "", gr.update(visible=False)]


def forget(visit: Visit) -> list[Any]:
    """Something else is asked for: the list is void."""
    return ["", "", gr.update(visible=False)]


def _prepared(visit: Visit, lora: tuple[str, str, Any], where: dict[str, Any]) -> Publication:
    slug, chosen, picked = lora
    path = lora_of(visit, slug, chosen, next(iter(steps_of(picked)), None))
    name, licence = (str(where.get(key) or "").strip() for key in ("repository", "licence"))
    private = where.get("private") is not False
    return plan_publication(visit.workspace, inside(visit.workspace.root, path), name, private, licence.lower()[:50])


def fingerprint(found: Publication) -> str:
    """Of everything that would be sent, and where to."""
    told = [found.repo_id, found.private, *((file.name, file.sha256) for file in found.files)]
    return hashlib.sha256(repr(told).encode()).hexdigest()


def listed(found: Publication, language: Language) -> str:
    """The dry run as the page shows it."""
    visibility = translate("publish.private" if found.private else "publish.public", language)
    values = {"name": found.repo_id, "visibility": visibility, "size": size(found.bytes / 1e6)}
    files = "".join(f"<li><span>{esc(file.name)}</span><small>{file.bytes:,} B</small></li>" for file in found.files)
    said = note(translate("publish.planned", language, **values), "plain" if found.private else "warn")
    return f'{said}<ul class="ksh-files">{files}</ul>{details(translate("train_tab.card", language), found.card)}'
