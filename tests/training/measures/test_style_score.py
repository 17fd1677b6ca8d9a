import numpy as np
import pytest
import torch
from PIL import Image

from ksh_studio.config import SettledTraining
from ksh_studio.jobs.requests import stop_job
from ksh_studio.training.measures import style_score as scoring_room
from ksh_studio.training.run import EarlyEnd, set_up
from tests.training.lessons import Lesson, add_drawing

TRIGGER = "drawn by KSH drawing style"
PROMPTS = (f"a girl {TRIGGER}", f"a boy {TRIGGER}", "a girl")


@pytest.fixture
def many(project):
    return [add_drawing(project, number, (64, 64)) for number in range(10)]


@pytest.fixture
def scored(project, many, settings):
    """A job whose previews are scored: ten drawings, two prompts with the trigger and one without."""

    def make(parent=None, **values):
        chosen = {"validation_prompts": PROMPTS, "validation_steps": 2, "max_train_steps": 4} | values
        return Lesson(project, settings(**chosen), parent)

    return make


@pytest.fixture
def counted(monkeypatch):
    """How many pictures have been described."""
    calls = []
    original = scoring_room.style_features

    def style_features(vae, picture):
        calls.append(tuple(picture.shape))
        return original(vae, picture)

    monkeypatch.setattr(scoring_room, "style_features", style_features)
    return calls


def told(made):
    return {event.step: event.score for event in made.of("scored")}


def test_every_look_is_scored_and_the_base_is_zero(scored, counted):
    made = scored()
    assert made.run()[-1].kind == "finished"
    scores = told(made)
    assert list(scores) == [0, 2, 4] and scores[0] == pytest.approx(0, abs=1e-9)
    assert all(np.isfinite(score) for score in scores.values())
    assert scores[2] != 0
    order = [event.kind for event in made.of("preview") + made.of("scored")]
    assert order == ["preview"] * 9 + ["scored"] * 3
    assert len(counted) == 10 + 2 + 3 * 2  # the drawings, the base's own, and the two prompts that call the style


def test_descriptions_of_drawings_are_kept(scored, counted):
    scored(max_train_steps=1).run()
    counted.clear()
    scored(max_train_steps=1).run()
    assert len(counted) == 2 + 2 * 2


def test_scoring_leaves_training_as_it_is(scored, monkeypatch):
    def losses(made):
        made.run()
        return [event.loss for event in made.of("step")]

    with_score = losses(scored())
    monkeypatch.setattr(scoring_room.Scoring, "measure", lambda self, session: iter(()))
    assert losses(scored()) == with_score


def test_a_resumed_job_scores_what_is_left_and_nothing_twice(scored):
    straight = scored()
    straight.run()
    made = scored()
    made.run(stop_after=3)
    assert list(told(made)) == [0, 2]
    made.run()
    assert told(made) == told(straight)


def test_a_job_that_goes_on_from_another_draws_the_base_itself(scored):
    first = scored(max_train_steps=2)
    first.run()
    second = scored(parent=first.job.id)
    said = second.run()
    assert said[-1].kind == "finished" and list(told(second)) == [2, 4]
    for number in (1, 2):
        own = np.asarray(Image.open(second.job.folder / "base" / f"{number}.png"))
        assert np.array_equal(own, np.asarray(Image.open(first.job.previews / f"000000-{number}.png")))
    straight = scored()
    straight.run()
    assert told(second)[2] == told(straight)[2]
    losses = {event.step: event.loss for event in straight.of("step")}
    assert [event.loss for event in second.of("step")] == [losses[3], losses[4]]


@pytest.mark.parametrize("values", [{"validation_prompts": ("a girl",)}, {"drawings": 7}])
def test_nothing_to_compare_is_no_score(scored, many, values):
    from ksh_studio.project.catalogue import Catalogue

    made = scored(max_train_steps=1, **{name: value for name, value in values.items() if name != "drawings"})
    if "drawings" in values:
        with Catalogue(made.project) as catalogue:
            for drawing in many[values["drawings"] :]:
                catalogue.exclude(drawing.id)
    said = made.run()
    assert said[-1].kind == "finished" and told(made) == {}
    assert not [event for event in said if event.kind == "warned" and event.key.startswith("recommend.")]


def test_what_goes_wrong_is_a_warning_and_the_run_goes_on(scored, monkeypatch):
    def broken(vae, picture):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(scoring_room, "style_features", broken)
    made = scored(max_train_steps=2)
    said = made.run()
    assert said[-1].kind == "finished" and told(made) == {}
    steps = [event.values["step"] for event in said if getattr(event, "key", "") == "recommend.score_failed"]
    assert steps == ["0", "2"]


def test_a_damaged_preview_is_a_warning(scored, monkeypatch):
    made = scored(max_train_steps=2)
    original = scoring_room.Scoring.measure

    def measure(self, session):
        if session.step == 2:
            self.previews.path(2, 1).write_bytes(b"\x89PNG and no more")
        yield from original(self, session)

    monkeypatch.setattr(scoring_room.Scoring, "measure", measure)
    said = made.run()
    assert said[-1].kind == "finished" and list(told(made)) == [0]
    assert [event.key for event in said if event.kind == "warned"] == ["recommend.score_failed"]


def test_a_base_that_already_draws_so_is_said_once(scored, monkeypatch):
    monkeypatch.setattr("ksh_studio.models.likeness.LEAST_GAP", 1e9)
    made = scored()
    said = made.run()
    assert said[-1].kind == "finished" and told(made) == {}
    assert [event.key for event in said if event.kind == "warned"] == ["recommend.already_alike"]


def test_a_stop_while_it_measures_is_answered_at_the_next_picture(scored, monkeypatch):
    made = scored()
    original, calls = scoring_room.style_features, []

    def style_features(vae, picture):
        calls.append(1)
        if len(calls) == 3:
            stop_job(made.job)
        return original(vae, picture)

    monkeypatch.setattr(scoring_room, "style_features", style_features)
    assert made.run()[-1].kind == "stopped"
    assert len(calls) == 3 and told(made) == {}
    assert made.run()[-1].kind == "finished" and list(told(made)) == [0, 2, 4]


def test_the_lora_is_off_only_while_the_base_draws(scored):
    made = scored()
    work = set_up(made.job.file.config(SettledTraining), made.project, made.job, 0.0)
    try:
        while True:
            next(work)
    except StopIteration as end:
        run = end.value
    except EarlyEnd:
        pytest.fail("nobody asked to stop")
    with torch.no_grad():
        for parameter in run.training_state.parameters.values():
            parameter.fill_(0.1)
    latents, states = torch.ones(1, 4, 8, 8), run.data.embeddings[:1]
    outputs = []
    with torch.no_grad():
        outputs.append(run.base.unet(latents, 500, states).sample)
        with scoring_room._without_lora(run.base):
            outputs.append(run.base.unet(latents, 500, states).sample)
        outputs.append(run.base.unet(latents, 500, states).sample)
    assert torch.equal(outputs[0], outputs[2]) and not torch.equal(outputs[0], outputs[1])
    assert all(parameter.requires_grad for parameter in run.training_state.parameters.values())
