import html
import json
import re

from ksh_studio.events import Preview
from ksh_studio.project.catalogue import Catalogue, NewDrawing
from ksh_studio.ui.train.previews import SHOWN_STEPS, preview_of_step, preview_tiles

TRIGGER = "drawn by me"


def preview(step, prompt, asked=False):
    return Preview(step=step, prompt=prompt, seed=1, path=f"jobs/j/previews/{step}.png", asked=asked)


def tiles_of(shown):
    """Each tile as the numbers of its steps: those with a picture, and the one that is shown."""
    tiles = re.findall(r"<figure>.*?</figure>", shown)
    cells = [re.findall(r'data-step="(\d+)"( hidden)?>(<button)?', tile) for tile in tiles]
    return [
        ([int(n) for n, _, picture in tile if picture], [int(n) for n, hidden, _ in tile if not hidden])
        for tile in cells
    ]


def test_each_prompt_is_a_tile_with_the_pictures_of_every_step_from_before_training_on(project):
    previews = [preview(step, prompt) for step in (0, 50) for prompt in ("<i>a cat</i> drawn by me", "<i>a cat</i>")]
    shown = preview_tiles(project, previews, TRIGGER, "en", recommended=50)
    assert tiles_of(shown) == [([0, 1], [1]), ([0, 1], [1])] and "<i>" not in shown
    names = json.loads(html.unescape(re.search('data-names="([^"]+)"', shown).group(1)))
    assert names == ["before training", "★ step 50"] and 'max="1" value="1"' in shown
    assert shown.count("without the trigger") == 1
    assert shown.count('class="ksh-chosen"') == 2


def test_a_step_without_a_picture_is_an_empty_place(project):
    shown = preview_tiles(project, [preview(0, "a"), preview(50, "b")], "", "en")
    assert tiles_of(shown) == [([0], [1]), ([1], [1])]
    assert "without the trigger" not in shown


def test_a_single_step_needs_no_slider(project):
    assert "range" not in preview_tiles(project, [preview(0, "a")], "", "en")


def test_one_of_the_drawings_stands_beside_them(project):
    assert "ksh-own" not in preview_tiles(project, [preview(0, "a")], "", "en")
    with Catalogue(project) as catalogue:
        for name in ("c" * 16, "d" * 16):
            values = {"source_path": "x", "width": 128, "height": 128}
            catalogue.add(NewDrawing(name, f"{name}.png", file_sha256=name, pixel_sha256=name, **values))
        catalogue.save_caption("d" * 16, "a cat")
    shown = preview_tiles(project, [preview(0, "a")], "", "ko")
    own = re.search('<figure class="ksh-own">.*?</figure>', shown).group()
    assert f"/thumb/{'d' * 16}.webp" in own and "/drawing/" in own and "내 그림" in own
    project.captions_db.write_bytes(b"damaged" * 900)
    assert "ksh-own" not in preview_tiles(project, [preview(0, "a")], "", "en")


def test_more_than_four_prompts_are_folded(project):
    shown = preview_tiles(project, [preview(0, f"prompt {n}") for n in range(6)], "", "en")
    large, folded = shown.split("<details")
    assert (large.count("<figure>"), folded.count("<figure>")) == (4, 2) and "2 more prompts" in folded


def test_asked_previews_stand_in_a_row_of_their_own(project):
    shown = preview_tiles(project, [preview(0, "a"), preview(7, "a wizard", asked=True)], "", "en")
    assert shown.index("Asked for") < shown.index("a wizard")
    assert "step 7" not in shown[: shown.index("Asked for")]
    assert preview_tiles(project, [], TRIGGER, "en") == ""


def test_of_very_many_steps_the_newest_and_the_recommended_are_shown(project):
    shown = preview_tiles(project, [preview(step, "a") for step in range(0, 1000, 10)], "", "en", recommended=430)
    assert shown.count("<img") in (SHOWN_STEPS, SHOWN_STEPS + 1)
    assert "step 990" in shown and "★ step 430" in shown and "before training" in shown
    assert f"{100 - shown.count('<img')} steps in between" in shown


def test_a_step_is_shown_by_a_prompt_that_calls_the_style():
    found = [preview(5, "a cat"), preview(5, "a cat drawn by me"), preview(5, "x drawn by me", asked=True)]
    assert preview_of_step(found, 5, TRIGGER).prompt == "a cat drawn by me"
    assert preview_of_step(found[:1], 5, TRIGGER).prompt == "a cat"
    assert preview_of_step(found, 6, TRIGGER) is None
