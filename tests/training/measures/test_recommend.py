import pytest

from ksh_studio.events import LoraSaved, Resumed, Scored, Validated
from ksh_studio.locales import LANGUAGES, sentence
from ksh_studio.training.measures.recommend import at, recommend, roughness, tolerance


def run(losses=None, scores=None, saved=None):
    """The events of a job: values by step."""
    steps = saved or sorted({*(losses or {}), *(scores or {})} - {0})
    said = [Validated(step=step, loss=loss) for step, loss in (losses or {}).items()]
    said += [Scored(step=step, score=score) for step, score in (scores or {}).items()]
    return [*said, *(LoraSaved(step=step, path=f"jobs/a/loras/ksh-{step:06d}.safetensors") for step in steps)]


def sentences(found):
    texts = [found.reason.text(language) for language in LANGUAGES]
    if found.warning:
        texts += [found.warning.text(language) for language in LANGUAGES]
    return texts


def test_nothing_is_recommended_before_something_is_saved():
    assert recommend([]) is None
    assert recommend([Validated(step=0, loss=0.1), Scored(step=0, score=0.0)]) is None


def test_the_lowest_loss_with_the_highest_score_wins():
    found = recommend(run({0: 0.14, 100: 0.12, 200: 0.10, 300: 0.13}, {0: 0.0, 100: 0.4, 200: 0.8, 300: 0.75}))
    assert (found.step, found.path) == (200, "jobs/a/loras/ksh-000200.safetensors")
    assert found.reason.key == "recommend.both" and found.reason.values == {"step": "200", "loss": "0.1", "score": "80"}
    assert found.warning is None


def test_among_losses_as_good_as_each_other_the_previews_decide():
    flat = {0: 0.140, 100: 0.1301, 200: 0.1300, 300: 0.1304, 400: 0.1303}
    found = recommend(run(flat, {0: 0.0, 100: 0.3, 200: 0.5, 300: 0.9, 400: 0.85}))
    assert (found.step, found.reason.key) == (300, "recommend.tie")
    assert (
        found.reason.values["lowest_step"] == "200"
        and found.reason.values["lowest"] == "0.13"
        and found.reason.values["score"] == "90"
    )
    assert found.warning is None


def test_a_clearly_higher_loss_is_not_bought_by_a_score():
    losses = {0: 0.14, 100: 0.11, 200: 0.10, 300: 0.105, 400: 0.12}
    found = recommend(run(losses, {0: 0.0, 100: 0.4, 200: 0.6, 300: 0.9, 400: 1.1}))
    assert found.step == 200


def test_over_fitting_is_warned_of():
    losses = {0: 0.14, 100: 0.11, 200: 0.10, 300: 0.105, 400: 0.12}
    found = recommend(run(losses, {0: 0.0, 100: 0.4, 200: 0.6, 300: 0.9, 400: 1.1}))
    assert found.warning == sentence("recommend.overfitting", step="200", lowest="0.1", loss="0.12")


def test_a_rise_within_the_noise_is_no_over_fitting():
    noisy = {0: 0.1300, 100: 0.1285, 200: 0.1301, 300: 0.1284, 400: 0.1302, 500: 0.1286, 600: 0.1300}
    found = recommend(run(noisy, {step: step / 600 for step in noisy}))
    assert found.warning is None and found.step == 600


def test_previews_that_move_away_are_warned_of():
    found = recommend(run({0: 0.14, 100: 0.12, 200: 0.11}, {0: 0.0, 100: 0.8, 200: 0.3}))
    assert found.warning == sentence("recommend.score_falls", step="100", best="80", score="30")


@pytest.mark.parametrize(
    ("losses", "scores", "step", "key"),
    [
        ({0: 0.14, 100: 0.12, 200: 0.13}, None, 100, "recommend.loss_only"),
        (None, {0: 0.0, 100: 0.7, 200: 0.7, 300: 0.65}, 100, "recommend.score_only"),
        (None, None, 200, "recommend.last"),
    ],
)
def test_with_one_measure_or_none(losses, scores, step, key):
    found = recommend(run(losses, scores, saved=None if losses or scores else [100, 200]))
    assert (found.step, found.reason.key, found.warning) == (step, key, None)


def test_one_checkpoint_is_the_only_one():
    found = recommend(run({0: 0.14, 100: 0.12}, {0: 0.0, 100: 0.7}))
    assert (found.step, found.reason.key) == (100, "recommend.only")


def test_a_step_saved_between_two_measurements_is_judged_by_both():
    curve = {0: 0.2, 100: 0.1, 200: 0.2}
    assert at(curve, 100) == 0.1 and at(curve, 150) == pytest.approx(0.15) and at(curve, 201) is None
    assert at({100: 1.0}, 50) is None and at({}, 50) is None
    assert recommend(run(curve, saved=[50, 110, 190])).step == 110


def test_a_score_that_is_missing_once_leaves_the_others_to_choose_from():
    found = recommend(run({0: 0.14, 100: 0.101, 200: 0.100, 300: 0.1005}, {100: 0.6, 200: 0.7}))
    assert (found.step, found.reason.key) == (200, "recommend.both")


def test_what_an_earlier_life_said_is_void():
    first = run({0: 0.14, 100: 0.12, 200: 0.01}, {0: 0.0, 100: 0.5, 200: 2.0})
    second = run({200: 0.11}, {200: 0.6})
    found = recommend([*first, Resumed(step=100), *second])
    assert found.step == 200 and found.reason.values["loss"] == "0.11" and found.reason.values["score"] == "60"
    assert recommend([*first, Resumed(step=100)]).step == 100  # step 200 is to be made again


def test_the_tolerance_follows_the_curve():
    assert tolerance({}) == tolerance({0: 1.0}) == 0.0
    falling = {n: 1.0 - n / 10 for n in range(6)}
    assert tolerance(falling) == pytest.approx(0.05)
    assert roughness([float(n * n) for n in range(6)]) == 0 and roughness([1.0, 9.0, 1.0, 9.0]) == 0
    assert roughness([5.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]) == pytest.approx(1.4826 * 4 / 20**0.5)


def test_the_fall_from_the_base_model_is_no_noise():
    losses = {0: 0.165, 75: 0.0834, 150: 0.089, 225: 0.098, 300: 0.1073}
    found = recommend(run(losses, {0: 0.0, 75: 0.42, 150: 0.78, 225: 0.95, 300: 1.05}))
    assert (found.step, found.reason.key) == (150, "recommend.tie")
    assert found.warning == sentence("recommend.overfitting", step="75", lowest="0.0834", loss="0.1073")


def test_every_sentence_can_be_said_in_both_languages():
    flat = {0: 0.14, 100: 0.1301, 200: 0.13, 300: 0.1302}
    rising = {0: 0.14, 100: 0.10, 200: 0.12}
    found = [recommend(one) for one in (
        run(flat, {0: 0.0, 100: 0.3, 200: 0.5, 300: 0.9}), run(rising, {0: 0.0, 100: 0.4, 200: 0.9}), run(rising),
        run(None, {0: 0.0, 100: 0.9, 200: 0.3}), run(None, None, [1, 2]), run(None, None, [1]),
    )]  # fmt: skip
    keys = {one.reason.key for one in found} | {one.warning.key for one in found if one.warning}
    expected = ("tie", "both", "loss_only", "score_only", "last", "only", "overfitting", "score_falls")
    assert keys == {f"recommend.{name}" for name in expected}
    for one in found:
        assert all("{" not in text for text in sentences(one))
