"""What a tracker of the artist's own hears of a training; tensorboard is the real one, the others are stand-ins."""

import importlib.util
import sys
from types import SimpleNamespace

import pytest

from ksh_studio.training.measures import trackers


@pytest.mark.parametrize("tracker", ["wandb", "trackio", "tensorboard"])
def test_a_tracker_that_is_not_installed_is_one_sentence(tracker, lesson, monkeypatch):
    installed = importlib.util.find_spec
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None if name == tracker else installed(name))
    events = lesson(report_to=tracker).run()
    assert (events[-1].kind, events[-1].key) == ("failed", "train.tracker_missing")
    assert f"pip install {tracker}" in events[-1].text()


class Library:
    """Weights & Biases, or trackio, as far as Accelerate and the studio call them."""

    def __init__(self):
        self.runs, self.settings, self.numbers, self.pictures, self.closed = [], {}, [], [], 0
        self.__spec__ = SimpleNamespace()
        self.config = SimpleNamespace(update=lambda values, allow_val_change: self.settings.update(values))

    def Image(self, picture):
        return picture.size

    def init(self, **options):
        self.runs.append(options)
        return self

    def log(self, values, step):
        for name, value in values.items():
            pictures = name.startswith("previews/")
            (self.pictures if pictures else self.numbers).append((name, step, value))

    def finish(self):
        self.closed += 1


@pytest.fixture
def library(monkeypatch):
    def installed(name):
        stand_in = Library()
        monkeypatch.setitem(sys.modules, name, stand_in)
        return stand_in

    return installed


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_settings_losses_pictures_and_scores_are_reported_and_a_resumed_training_goes_on_in_its_run(
    name, library, lesson
):
    heard = library(name)
    made = lesson(report_to=name, max_train_steps=4, validation_steps=2)
    made.run(stop_after=2)
    made.run()
    losses = [(step, value) for title, step, value in heard.numbers if title == "loss"]
    assert losses == [(event.step, event.loss) for event in made.of("step")]
    assert {title for title, _, _ in heard.pictures} == {"previews/a girl"}
    assert [step for _, step, _ in heard.pictures] == [event.step for event in made.of("preview")]
    assert heard.settings["rank"] == 4 and "from_lora" not in heard.settings
    assert not any("/" in str(value) for value in heard.settings.values())
    first, second = heard.runs
    assert first == second and first["resume"] == "allow" and made.job.id in str(first)
    assert heard.closed == 2


def test_a_tracker_that_fails_is_a_warning_once_and_the_training_goes_on(library, lesson):
    heard = library("wandb")
    heard.log = lambda values, step: (_ for _ in ()).throw(ConnectionError("no network"))
    events = lesson(report_to="wandb", max_train_steps=2).run()
    assert events[-1].kind == "finished"
    assert [event.key for event in events if event.kind == "warned"].count("train.tracker_failed") == 1


def test_tensorboard_has_the_losses_the_pictures_and_no_step_twice(lesson):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    made = lesson(report_to="tensorboard", max_train_steps=4, validation_steps=2)
    made.run(stop_after=2)
    made.run()
    read = EventAccumulator(str(made.job.folder / "tensorboard"), size_guidance={"scalars": 0, "images": 0}).Reload()
    assert [point.step for point in read.Scalars("loss")] == [1, 2, 3, 4]
    assert [point.value for point in read.Scalars("loss")] == pytest.approx([event.loss for event in made.of("step")])
    assert "previews/a girl" in read.Tags()["images"]
