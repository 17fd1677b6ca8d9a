import os
import signal
import time

import pytest
import torch
from PIL import Image

from ksh_studio.captions import stage as captioning
from ksh_studio.captions.stage import caption
from ksh_studio.config import CaptionConfig
from ksh_studio.errors import StudioError
from ksh_studio.events import Captioned, Started, Warned
from ksh_studio.project.catalogue import By, Catalogue
from tests.drawings.pictures import run_import, save_pictures
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

    monkeypatch.setattr(captioning, "write_captions", say)
    return batches


def never():
    return False


def settings(folders, **values):
    return CaptionConfig(captioner=str(folders["opt"]), prompt="a", max_new_tokens=8, num_beams=1, **values)


def captions(project):
    with Catalogue(project) as catalogue:
        return {row.original_name: row.caption for row in catalogue.drawings()}


def test_every_caption_is_committed_before_it_is_told(drawn, folders, speaking):
    reported = []
    for event in caption(settings(folders, batch_size=4), drawn, never):
        if isinstance(event, Captioned):
            with Catalogue(drawn) as catalogue:
                assert catalogue.drawing(event.drawing).caption == event.caption != ""
            reported.append((event.done, event.total))
        last = event
    assert reported == [(n, 7) for n in range(1, 8)]
    assert speaking == [4, 3]
    assert (last.kind, last.figures["captions"]) == ("finished", 7)
    with Catalogue(drawn) as catalogue:
        row = catalogue.drawings()[0]
    assert (row.source, row.author) == ("captioner", folders["opt"].name)
    assert str(folders["opt"]) not in row.settings


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
    answers = iter([False, True])
    yielded = list(caption(settings(folders, batch_size=3), drawn, lambda: next(answers)))
    assert (yielded[-1].kind, yielded[-1].values) == ("stopped", {"made": "3", "left": "4"})
    yielded = list(caption(settings(folders, batch_size=3), drawn, never))
    assert (yielded[-1].kind, yielded[-1].figures["captions"]) == ("finished", 4)


def test_too_little_memory_halves_the_batch_and_goes_on(drawn, folders, monkeypatch):
    sizes = []

    def greedy(captioner, images, config):
        sizes.append(len(images))
        if len(images) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return ["a girl"] * len(images)

    monkeypatch.setattr(captioning, "write_captions", greedy)
    yielded = list(caption(settings(folders, batch_size=8), drawn, never))
    assert sizes == [7, 4, 2, 2, 2, 1]
    assert [e.values["size"] for e in yielded if isinstance(e, Warned)] == ["4", "2"]
    assert yielded[-1].figures["captions"] == 7


def test_too_little_memory_for_one_drawing_is_a_sentence(drawn, folders, monkeypatch):
    def greedy(captioner, images, config):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(captioning, "write_captions", greedy)
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

    monkeypatch.setattr(captioning, "write_captions", fragile)
    yielded = list(caption(settings(folders, batch_size=4), drawn, never))
    warned = [(event.key, event.values["name"]) for event in yielded if isinstance(event, Warned)]
    assert warned == [
        ("captions.unreadable", "그림 0.png"),
        ("captions.unreadable", "그림 1.png"),
        ("captions.failed", "그림 2.png"),
        ("captions.empty", "그림 6.png"),
    ]
    assert yielded[-1].figures["captions"] == 3


def test_no_drawings_and_no_captions_are_sentences(project, drawn, folders, workspace, monkeypatch):
    empty = workspace.create_project(project.settings())
    monkeypatch.setattr(captioning, "write_captions", lambda captioner, images, config: [""] * len(images))
    for where, key in ((empty, "captions.no_drawings"), (drawn, "captions.none_made")):
        with pytest.raises(StudioError) as error:
            list(caption(settings(folders), where, never))
        assert error.value.sentence.key == key


def caption_until_killed(config, project, pipe):
    """Caption in a child process that tells its captions through `pipe` and is killed from outside."""

    def slow(captioner, images, config):
        time.sleep(0.05)
        return [f"picture {sum(image.resize((1, 1)).getpixel((0, 0)))}" for image in images]

    captioning.write_captions = slow
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
        reported = [told_by_child.readline() for _ in range(3)]
        time.sleep(0.03)
        os.kill(child, signal.SIGKILL)
        reported += told_by_child.readlines()
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    with Catalogue(drawn) as catalogue:
        for line in reported:
            name, text = line.strip().split(" ", 1)
            assert catalogue.drawing(name).caption == text
        kept = catalogue.counts()["captioned"]
    assert 3 <= len(reported) <= kept <= len(reported) + 1 < 7
    yielded = list(caption(config, drawn, never))
    assert sum(isinstance(event, Captioned) for event in yielded) == 7 - kept
    assert all(captions(drawn).values())
