import os
import signal
import time

import pytest
import torch
from PIL import Image

from ksh_studio.captions import stage as captioning
from ksh_studio.captions.captioners.blip2 import describe
from ksh_studio.captions.stage import caption, resolved
from ksh_studio.config import CaptionConfig
from ksh_studio.errors import StudioError, validated
from ksh_studio.events import Captioned, Started, Warned
from ksh_studio.models.loading import load_captioner
from ksh_studio.models.registry import CaptionerEntry, captioner_entry
from ksh_studio.presets import CAPTION_PRESETS
from ksh_studio.project.catalogue import By, Catalogue
from tests.drawings.pictures import picture, run_import, save_pictures
from tests.tiny import tiny_captioner_folder

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {kind: tiny_captioner_folder(tmp_path_factory.mktemp(kind), kind) for kind in ("opt", "t5")}


@pytest.fixture
def drawn(project, folder):
    """A project of seven drawings."""
    save_pictures(folder, *(f"그림 {n}.png" for n in range(7)))
    run_import(folder, project)
    return project


@pytest.fixture
def speaking(monkeypatch):
    """A captioner whose words are known: it says how bright a drawing is; the sizes of its batches are kept."""
    batches: list[int] = []

    def say(captioner, images, config):
        batches.append(len(images))
        return [f"{config.prompt} picture {sum(image.resize((1, 1)).getpixel((0, 0)))}" for image in images]

    monkeypatch.setattr(captioning, "describe", say)
    return batches


def never():
    return False


def settings(folders, **values):
    return CaptionConfig(captioner=str(folders["opt"]), prompt="a", max_new_tokens=8, num_beams=1, **values)


def captions(project):
    with Catalogue(project) as catalogue:
        return {row.original_name: row.caption for row in catalogue.drawings()}


def test_every_caption_is_committed_before_it_is_told(drawn, folders, speaking):
    told = []
    for event in caption(settings(folders, batch_size=4), drawn, never):
        if isinstance(event, Captioned):
            with Catalogue(drawn) as catalogue:
                assert catalogue.drawing(event.drawing).caption == event.caption != ""
            told.append((event.done, event.total))
        last = event
    assert told == [(n, 7) for n in range(1, 8)]
    assert speaking == [4, 3]
    assert (last.kind, last.figures["captions"]) == ("finished", 7)
    with Catalogue(drawn) as catalogue:
        row = catalogue.drawings()[0]
    assert (row.source, row.author) == ("captioner", folders["opt"].name)
    assert str(folders["opt"]) not in row.settings


@pytest.mark.parametrize("kind", ["opt", "t5"])
def test_a_real_blip2_captions_without_echoing_its_prompt(folders, kind):
    captioner = load_captioner(captioner_entry(str(folders[kind])), CPU)
    config = CaptionConfig(prompt="abc xyz", max_new_tokens=12, min_new_tokens=12, num_beams=2, no_repeat_ngram_size=0)
    said = describe(captioner, [picture(1), picture(2, (90, 30))], config)
    raw = describe(captioner, [picture(1)], config.model_copy(update={"prompt": ""}))
    assert len(said) == 2
    assert all(text and "abc xyz" not in text for text in said)
    assert 4 <= len(said[0].replace(" ", "")) <= 40  # at most twelve tokens of a letter each, none of them cut away
    assert raw[0]


@pytest.mark.parametrize("kind", ["opt", "t5"])
def test_a_batch_says_what_each_drawing_alone_says(folders, kind):
    captioner = load_captioner(captioner_entry(str(folders[kind])), CPU)
    config = CaptionConfig(prompt="a", max_new_tokens=10, num_beams=2)
    images = [picture(n, (40 + 10 * n, 60)) for n in range(3)]
    assert describe(captioner, images, config) == [describe(captioner, [image], config)[0] for image in images]


def test_the_seed_decides_varied_wording_and_nothing_else_does(folders):
    captioner = load_captioner(captioner_entry(str(folders["opt"])), CPU)
    config = CaptionConfig(prompt="a", max_new_tokens=12, num_beams=1, do_sample=True, seed=1)
    first = describe(captioner, [picture(1)], config)
    before = torch.random.get_rng_state()
    torch.rand(7)
    assert describe(captioner, [picture(1)], config) == first
    assert describe(captioner, [picture(1)], config.model_copy(update={"seed": 2})) != first
    torch.random.set_rng_state(before)


def test_a_wide_drawing_is_padded_not_squashed(folders, monkeypatch):
    captioner = load_captioner(captioner_entry(str(folders["opt"])), CPU)
    shown = []
    real = captioner.processor.image_processor.__class__.__call__

    def look(self, images, *rest, **options):
        shown.extend(images)
        return real(self, images, *rest, **options)

    monkeypatch.setattr(captioner.processor.image_processor.__class__, "__call__", look)
    describe(captioner, [Image.new("RGB", (90, 30), "black")], CaptionConfig(prompt="a", max_new_tokens=6))
    assert shown[0].size == (90, 90)
    assert (shown[0].getpixel((45, 2)), shown[0].getpixel((45, 45))) == ((255, 255, 255), (0, 0, 0))


def test_the_original_presses_a_drawing_into_its_square_and_keeps_what_is_written(folders, monkeypatch):
    captioner = load_captioner(captioner_entry(str(folders["t5"])), CPU)
    pictures = []
    real = captioner.processor.image_processor.__class__.__call__

    def look(self, images, *rest, **options):
        pictures.extend(images)
        return real(self, images, *rest, **options)

    monkeypatch.setattr(captioner.processor.image_processor.__class__, "__call__", look)
    monkeypatch.setattr(captioner.processor, "batch_decode", lambda *_, **__: [" a photo of a girl, a girl,\nsmile"])
    for version, caption_kept in (
        ("original", "a photo of a girl, a girl, smile"), ("original_later", "a photo of a girl a girl smile")
    ):  # fmt: skip
        config = validated(CaptionConfig, CAPTION_PRESETS[version])
        assert describe(captioner, [Image.new("RGB", (90, 30), "black")], config) == [caption_kept]
    assert [image.size for image in pictures] == [(512, 512)] * 2
    assert pictures[0].getextrema() == ((0, 0),) * 3
    assert describe(captioner, [Image.new("RGB", (90, 30))], CaptionConfig(prompt="a")) == ["a girl, smile"]


def test_captions_from_before_there_was_tidying_to_choose_count_as_made_with_the_same_settings():
    assert not {"picture_shape", "cleaning"} & set(captioning._settings_kept(CaptionConfig()))
    kept = captioning._settings_kept(CaptionConfig(cleaning="none", picture_shape="squash"))
    assert (kept["cleaning"], kept["picture_shape"]) == ("none", "squash")


def test_overwriting_keeps_what_a_person_wrote_unless_all_is_chosen(drawn, folders, speaking):
    with Catalogue(drawn) as catalogue:
        rows = catalogue.drawings()
        catalogue.save_caption(rows[0].id, "mine")
        catalogue.save_caption(rows[1].id, "other", By("captioner", "other"))
        catalogue.save_caption(rows[2].id, "from a file", By("file", "info.csv"))
    done = {}
    for overwrite in ("empty", "auto", "all"):
        events = list(caption(settings(folders, overwrite=overwrite), drawn, never))
        done[overwrite] = sum(isinstance(event, Captioned) for event in events)
    assert done == {"empty": 4, "auto": 1, "all": 2}
    last = list(caption(settings(folders, overwrite="all"), drawn, never))
    assert [event.key for event in last] == ["captions.nothing_to_do"]
    list(caption(settings(folders, overwrite="all", seed=5), drawn, never))
    assert sum(speaking) == 14


def test_a_caption_that_a_person_writes_meanwhile_stands(drawn, folders, speaking):
    events = caption(settings(folders, overwrite="all", batch_size=1), drawn, never)
    while not isinstance(next(events), Started):
        pass
    with Catalogue(drawn) as catalogue:
        catalogue.save_caption(catalogue.drawings()[3].id, "written while it ran")
    assert sum(isinstance(event, Captioned) for event in events) == 6
    assert captions(drawn)["그림 3.png"] == "written while it ran"


def test_stop_ends_after_the_batch_and_the_next_run_does_the_rest(drawn, folders, speaking):
    asked = iter([False, True])
    said = list(caption(settings(folders, batch_size=3), drawn, lambda: next(asked)))
    assert (said[-1].kind, said[-1].values) == ("stopped", {"made": "3", "left": "4"})
    said = list(caption(settings(folders, batch_size=3), drawn, never))
    assert (said[-1].kind, said[-1].figures["captions"]) == ("finished", 4)


def test_too_little_memory_halves_the_batch_and_goes_on(drawn, folders, monkeypatch):
    sizes = []

    def greedy(captioner, images, config):
        sizes.append(len(images))
        if len(images) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return ["a girl"] * len(images)

    monkeypatch.setattr(captioning, "describe", greedy)
    said = list(caption(settings(folders, batch_size=8), drawn, never))
    assert sizes == [7, 4, 2, 2, 2, 1]
    assert [e.values["size"] for e in said if isinstance(e, Warned)] == ["4", "2"]
    assert said[-1].figures["captions"] == 7


def test_too_little_memory_for_one_drawing_is_a_sentence(drawn, folders, monkeypatch):
    def greedy(captioner, images, config):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(captioning, "describe", greedy)
    with pytest.raises(StudioError) as error:
        list(caption(settings(folders, batch_size=4), drawn, never))
    assert error.value.sentence.key == "captions.no_memory"


def test_bad_drawings_are_named_and_do_not_stop_the_run(drawn, folders, monkeypatch):
    with Catalogue(drawn) as catalogue:
        rows = catalogue.drawings()
    rows[0].path(drawn).write_bytes(b"not a picture")
    rows[1].path(drawn).unlink()
    bad = Image.open(rows[2].path(drawn)).convert("RGB").tobytes()

    def fragile(captioner, images, config):
        if any(image.tobytes() == bad for image in images):
            raise RuntimeError("shape mismatch")
        return ["" if image.tobytes() == images[-1].tobytes() and len(images) == 3 else "a girl" for image in images]

    monkeypatch.setattr(captioning, "describe", fragile)
    said = list(caption(settings(folders, batch_size=4), drawn, never))
    warned = [(event.key, event.values["name"]) for event in said if isinstance(event, Warned)]
    assert warned == [
        ("captions.unreadable", "그림 0.png"),
        ("captions.unreadable", "그림 1.png"),
        ("captions.failed", "그림 2.png"),
        ("captions.empty", "그림 6.png"),
    ]
    assert said[-1].figures["captions"] == 3


def test_no_drawings_and_no_captions_are_sentences(project, drawn, folders, workspace, monkeypatch):
    empty = workspace.create_project(project.settings())
    monkeypatch.setattr(captioning, "describe", lambda captioner, images, config: [""] * len(images))
    for where, key in ((empty, "captions.no_drawings"), (drawn, "captions.none_made")):
        with pytest.raises(StudioError) as error:
            list(caption(settings(folders), where, never))
        assert error.value.sentence.key == key


def test_the_captioner_fills_what_was_left_at_its_default():
    entry = CaptionerEntry("x", "X", "x", "folder", prompt="ask", generation={"num_beams": 1, "max_new_tokens": 20})
    config = resolved(CaptionConfig(max_new_tokens=9), entry)
    assert (config.prompt, config.num_beams, config.max_new_tokens) == ("ask", 1, 9)
    early = validated(CaptionConfig, CAPTION_PRESETS["original"])
    assert resolved(early, entry).prompt == "A painting of"


def caption_until_killed(config, project, pipe):
    """Caption in a child process that tells its captions through `pipe` and is killed from outside."""

    def slow(captioner, images, config):
        time.sleep(0.05)
        return [f"picture {sum(image.resize((1, 1)).getpixel((0, 0)))}" for image in images]

    captioning.describe = slow
    for event in caption(config, project, never):
        if isinstance(event, Captioned):
            os.write(pipe, f"{event.drawing} {event.caption}\n".encode())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork and no kill -9 here")
def test_kill_9_loses_no_caption_and_the_next_run_does_the_rest(drawn, folders, speaking):
    config = settings(folders, batch_size=1)
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        caption_until_killed(config, drawn, there)
        os._exit(1)
    os.close(there)
    with os.fdopen(here, encoding="utf-8") as told_by_child:
        told = [told_by_child.readline() for _ in range(3)]
        time.sleep(0.03)
        os.kill(child, signal.SIGKILL)
        told += told_by_child.readlines()
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    with Catalogue(drawn) as catalogue:
        for line in told:
            name, text = line.strip().split(" ", 1)
            assert catalogue.drawing(name).caption == text
        kept = catalogue.counts()["captioned"]
    assert 3 <= len(told) <= kept <= len(told) + 1 < 7
    said = list(caption(config, drawn, never))
    assert sum(isinstance(event, Captioned) for event in said) == 7 - kept
    assert all(captions(drawn).values())
