"""What the Generate tab does with a prompt before anything is drawn: explain it, and put the trigger into it."""

from ksh_studio.config import MAX_PROMPT_CHARACTERS
from ksh_studio.errors import StudioError
from ksh_studio.generation.prompt.parse import parse_prompts
from ksh_studio.ui.access.visit import Visit
from ksh_studio.ui.generate.view import prompt_explanation


def explain_prompts(visit: Visit, prompt: str, negative_prompt: str) -> str:
    """What the studio understood of both prompts."""
    for text in (prompt, negative_prompt):
        if len(text or "") > MAX_PROMPT_CHARACTERS:
            raise StudioError("generate_tab.too_long", limit=MAX_PROMPT_CHARACTERS)
    return prompt_explanation(parse_prompts(prompt or "", negative_prompt or ""), visit.language)


def insert_trigger(visit: Visit, slug: str, prompt: str) -> str:
    """The prompt with the project's trigger in its place, once."""
    trigger = visit.project(slug).settings().trigger
    bare = (prompt or "").rstrip(" ,")
    if trigger.is_called_in(bare):
        return prompt
    parts = (bare, trigger.text) if trigger.position == "end" else (trigger.text, bare)
    return ", ".join(part for part in parts if part)
