"""The page as one person has it open, without a browser: what they press and type, and what the studio answers.

The page's own events are called, through the guard, with what its parts hold; the answers become what they hold.
"""

import hashlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gradio as gr
from gradio.blocks import Block, BlockFunction
from gradio.helpers import special_args

from ksh_studio.generation.worker.handle import Worker
from ksh_studio.project.workspace import Project, Workspace
from ksh_studio.ui.access.roles import Role
from ksh_studio.ui.access.studio import Studio
from ksh_studio.ui.access.visit import VISITOR_COOKIE, Visit, visit_of, visitor_workspace

ROLES: tuple[Role, ...] = ("owner", "guest", "visitor")
MODES = {"owner": "local", "guest": "share", "visitor": "space"}
HOSTS = {"owner": "127.0.0.1:7860", "guest": "x.gradio.live", "visitor": "x.hf.space"}
SECRET = "a" * 43


def studio_for(workspace: Workspace, role: Role) -> Studio:
    """A studio that is open in such a way that whoever comes has this role."""
    return Studio(workspace, MODES[role], Worker(workspace), (("owner", "o"), ("guest", "g")))


class OpenPage:
    """One person's page; parts are named by their `elem_id`."""

    def __init__(self, studio: Studio, role: Role, blocks: gr.Blocks, secret: str = SECRET) -> None:
        self.studio, self.role, self.blocks = studio, role, blocks
        self.values: dict[int, Any] = {}
        """What the parts hold, by their number; a part that is not here holds what it was built with."""
        self.workspace = studio.workspace
        if role == "visitor":
            self.workspace = visitor_workspace(studio.workspace, hashlib.sha256(secret.encode()).hexdigest())
            self.workspace.prepare()
        cookies = {VISITOR_COOKIE: secret, "access-token-x": "logged in"}
        app = SimpleNamespace(cookie_id="x", tokens={"logged in": role})
        inner = SimpleNamespace(headers={"host": HOSTS[role]}, cookies=cookies, query_params={}, app=app)
        self.request = gr.Request(inner, username=role, session_hash=secret[:8])

    @property
    def project(self) -> Project:
        """The project on the page."""
        return self.workspace.project(self.value("project-slug"))

    def visit(self) -> Visit:
        """One request of this person, as the guard hands it to a handler."""
        return visit_of(self.studio, self.request)

    def part(self, name: str) -> Block:
        """The part of this `elem_id`."""
        [part] = [block for block in self.blocks.blocks.values() if getattr(block, "elem_id", None) == name]
        return part

    def set(self, name: str, value: Any) -> None:
        """Type or pick something, without any event."""
        self.values[self.part(name)._id] = value

    def value(self, name: str) -> Any:
        """What a part holds now."""
        return self._value(self.part(name))

    def press(self, name: str, event: str = "click", data: Any = None) -> dict[str, Any]:
        """What an event of a part changes on the page, by `elem_id`; of a stream the last of each.

        data: what comes with the event, such as the picture that was clicked.
        Raises gr.Error with the sentence that the page would show.
        """
        return {name: value for update in self.stream(name, event, data) for name, value in update.items()}

    def stream(self, name: str, event: str = "click", data: Any = None) -> Iterator[dict[str, Any]]:
        """As `press`, one update after the other."""
        part = self.part(name)
        handlers = [fn for fn in self.blocks.fns.values() if fn.fn is not None and (part._id, event) in fn.targets]
        assert handlers, f"nothing happens at {event} of {name}"
        for handler in handlers:
            yield from self._run(handler, gr.EventData(part, {"value": data}))

    def tick(self) -> dict[str, Any]:
        """What the page's updates change on the page, which its script sets off when there is something new."""
        ticks = [fn for fn in self.blocks.fns.values() if any(event == "tick" for _, event in fn.targets)]
        handlers = [fn for fn in ticks if fn.fn is not None]  # the others are scripts
        updates = [update for fn in handlers for update in self._run(fn, None)]
        return {name: value for update in updates for name, value in update.items()}

    def call(self, name: str, *values: Any) -> dict[str, Any]:
        """The answer to a call that a script of the page makes."""
        served = [fn for block in self.blocks.blocks.values() for fn in getattr(block, "server_fns", [])]
        [handler] = [fn for fn in served if fn.__name__ == name]
        return handler(list(values), self.request)

    def _run(self, fn: BlockFunction, data: gr.EventData | None) -> Iterator[dict[str, Any]]:
        values = [self._value(part) for part in fn.inputs]
        first = len(values) - len(fn.input_keyword_names)
        named = dict(zip(fn.input_keyword_names, values[first:], strict=True))
        positional, *_ = special_args(fn.fn, values[:first], self.request, data)
        answer = fn.fn(*positional, **named)
        for update in answer if isinstance(answer, Iterator) else [answer]:
            yield self._applied(fn, update)

    def _value(self, part: Block) -> Any:
        return self.values.get(part._id, getattr(part, "value", None))

    def _applied(self, fn: BlockFunction, update: Any) -> dict[str, Any]:
        changed = {part: value for part, value in _by_part(fn, update).items() if not _is_skip(value)}
        for part, value in changed.items():
            if isinstance(value, Block):
                value = gr.update(**value.constructor_args)
            if not (isinstance(value, dict) and "__type__" in value):
                self.values[part._id] = value
            elif "value" in value:
                self.values[part._id] = value["value"]
        return {getattr(part, "elem_id", None) or str(part._id): value for part, value in changed.items()}


def _by_part(fn: BlockFunction, update: Any) -> dict[Block, Any]:
    """The update by part, as gradio reads it: a mapping, one value for the only part, or one for each."""
    if _is_skip(update) or not fn.outputs:
        return {}
    if isinstance(update, dict) and update and all(isinstance(part, Block) for part in update):
        assert set(update) <= set(fn.outputs), f"{fn.name} changes a part that is not among its outputs"
        return update
    if len(fn.outputs) == 1:
        return {fn.outputs[0]: update}
    return dict(zip(fn.outputs, update, strict=True))


def _is_skip(value: Any) -> bool:
    return isinstance(value, dict) and value == gr.skip()
