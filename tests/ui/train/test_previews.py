from ksh_studio.events import Preview
from ksh_studio.ui.train.previews import SHOWN_STEPS, preview_of_step, preview_rows

TRIGGER = "drawn by me"


def preview(step, prompt, asked=False):
    return Preview(step=step, prompt=prompt, seed=1, path=f"jobs/j/previews/{step}.png", asked=asked)


def test_prompts_and_steps_are_one_sheet_from_before_training_on(project):
    previews = [preview(step, prompt) for step in (0, 50) for prompt in ("<i>a cat</i> drawn by me", "<i>a cat</i>")]
    shown = preview_rows(project, previews, TRIGGER, "en", recommended=50)
    assert shown.count('class="ksh-prompt"') == 2 and shown.count("<img") == 4 and "<i>" not in shown
    assert shown.index("before training") < shown.index("★ step 50")
    assert shown.count("without the trigger") == 1
    assert shown.count("ksh-cell ksh-chosen") == 3  # the head and both pictures


def test_pictures_stand_under_their_step_also_where_one_is_missing(project):
    shown = preview_rows(project, [preview(0, "a"), preview(50, "b")], "", "en")
    first, second = shown.split('class="ksh-prompt"')[1:]
    assert first.index("data-large") < first.rindex('<div class="ksh-cell">')
    assert second.index('<div class="ksh-cell"></div>') < second.index("data-large")
    assert "without the trigger" not in shown


def test_asked_previews_stand_in_a_row_of_their_own(project):
    shown = preview_rows(project, [preview(0, "a"), preview(7, "a wizard", asked=True)], "", "en")
    assert shown.index("Asked for") < shown.index("a wizard")
    assert "step 7" not in shown[: shown.index("Asked for")]
    assert preview_rows(project, [], TRIGGER, "en") == ""


def test_of_very_many_steps_the_newest_and_the_recommended_are_shown(project):
    shown = preview_rows(project, [preview(step, "a") for step in range(0, 1000, 10)], "", "en", recommended=430)
    assert shown.count("<img") in (SHOWN_STEPS, SHOWN_STEPS + 1)
    assert "step 990" in shown and "★ step 430" in shown and "before training" in shown
    assert f"{100 - shown.count('<img')} steps in between" in shown


def test_a_step_is_shown_by_a_prompt_that_calls_the_style():
    found = [preview(5, "a cat"), preview(5, "a cat drawn by me"), preview(5, "x drawn by me", asked=True)]
    assert preview_of_step(found, 5, TRIGGER).prompt == "a cat drawn by me"
    assert preview_of_step(found[:1], 5, TRIGGER).prompt == "a cat"
    assert preview_of_step(found, 6, TRIGGER) is None
