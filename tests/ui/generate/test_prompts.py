"""The explanation of both prompts and the trigger's button, for each role."""

import gradio as gr
import pytest

from ksh_studio.config import MAX_PROMPT_CHARACTERS, Trigger
from tests.ui.open_page import ROLES

STYLE = "drawn by KSH drawing style"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("part", ["generate-prompt", "generate-negative-prompt"])
def test_typing_either_prompt_explains_both(opened, role, part):
    page = opened(role)
    page.set("generate-prompt", "(<b>cat : 1.2), <lora:ink:0.5>")
    page.set("generate-negative-prompt", "[a:b:3]")
    explanation = page.press(part, "change")["generate-understood"]
    assert "&lt;b&gt;cat" in explanation and "<b>1.2</b>" in explanation
    assert '"ksh-chip ksh-lora">ink <b>0.5</b>' in explanation and "ksh-warn" in explanation


def test_a_plain_prompt_needs_no_explanation_and_a_korean_one_gets_a_hint(opened):
    page = opened("guest")
    page.set("generate-prompt", "a cat")
    assert page.press("generate-prompt", "change") == {"generate-understood": ""}
    page.set("generate-negative-prompt", "고양이")
    assert page.press("generate-prompt", "change")["generate-understood"].count("ksh-warn") == 1


def test_a_prompt_that_is_too_long_is_refused(opened):
    page = opened("guest")
    page.set("generate-prompt", "a" * (MAX_PROMPT_CHARACTERS + 1))
    with pytest.raises(gr.Error, match=str(MAX_PROMPT_CHARACTERS)):
        page.press("generate-prompt", "change")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("", STYLE),
        ("a cat, ", f"a cat, {STYLE}"),
        (f"({STYLE.upper()} : 1.5), a cat", f"({STYLE.upper()} : 1.5), a cat"),
    ],
)
def test_the_trigger_is_inserted_once(opened, role, prompt, expected):
    page = opened(role)
    page.set("generate-prompt", prompt)
    page.press("insert-trigger")
    assert page.value("generate-prompt") == expected


def test_a_trigger_that_stands_in_front_is_inserted_there(opened):
    page = opened("owner")
    page.project.change(trigger=Trigger(text="ksh", position="front").model_dump())
    page.set("generate-prompt", "a cat")
    page.press("insert-trigger")
    assert page.value("generate-prompt") == "ksh, a cat"
