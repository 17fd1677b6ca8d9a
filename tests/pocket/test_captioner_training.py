"""How the captioner learns to see glasses: from pairs of drawings that differ by nothing else."""

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(recipe):
    return recipe("captioner_data")


@pytest.fixture(scope="module")
def processor(recipe):
    from transformers import Blip2Processor

    return Blip2Processor.from_pretrained(recipe("drawings").HERE.parent / "captioner")


def test_of_each_pair_one_wears_glasses_and_all_else_is_alike(data, build, processor):
    batch = data.Pairs(build).batch(processor, np.random.default_rng(0))
    assert len(batch.inputs["pixel_values"]) == len(batch.labels) == 2 * data.PAIRS + data.OTHERS
    texts = [processor.decode(row[row != data.IGNORED], skip_special_tokens=True) for row in batch.labels]
    first, second = texts[: data.PAIRS], texts[data.PAIRS : 2 * data.PAIRS]
    assert len({"glasses" in text for text in first}) == 2
    for one, other in zip(first, second, strict=True):
        assert ("glasses" in one) != ("glasses" in other)
        known = [[part for part in text.split(", ") if "hair" in part or "person" in part] for text in (one, other)]
        assert known[0] == known[1] and len(known[0]) == 2


def test_the_patches_of_the_glasses_are_marked_where_they_are_worn(data, build):
    pairs = data.Pairs(build)
    rows = np.array([0, 1])
    rgba = torch.cat([pairs.plain.rgba(rows), pairs.twins.rgba(rows)])
    known = [drawings.attributes[row] for drawings in (pairs.plain, pairs.twins) for row in rows]
    marked = data.glasses_of(rgba, known).view(4, 16, 16)
    bar = torch.zeros(16, 16)
    bar[6, 5:11] = 1
    assert torch.equal(marked[0], bar) and torch.equal(marked[3], bar)
    assert not marked[1].any() and not marked[2].any()


def test_both_of_a_pair_are_changed_alike(data, build, processor):
    batch = data.Pairs(build).batch(processor, np.random.default_rng(1))
    pixels = batch.inputs["pixel_values"]
    differ = (pixels[: data.PAIRS] - pixels[data.PAIRS : 2 * data.PAIRS]).abs().amax(1, keepdim=True)
    worn = batch.glasses[: data.PAIRS] + batch.glasses[data.PAIRS :]
    assert (worn.sum(1) > 0).all() and (worn.sum(1) < 40).all()
    # The backgrounds differ; inside the figure only the glasses do.
    patches = torch.nn.functional.max_pool2d(differ, 8)[:, 0, 6:10, 6:10]
    elsewhere = patches[worn.view(-1, 16, 16)[:, 6:10, 6:10] == 0]
    assert len(elsewhere) > 8 * data.PAIRS and (elsewhere < 0.06).all()


def test_the_eyes_are_asked_and_the_word_after_hair_counts(recipe, data, build, processor):
    trainer = recipe("train_captioner")
    torch.manual_seed(0)
    learner = trainer.Learner(recipe("captioner_model").new_captioner(len(processor.tokenizer)))
    batch = data.Pairs(build).batch(processor, np.random.default_rng(2))
    hair = processor.tokenizer.encode(" hair")[-1]
    spoken, seen = trainer.losses_of(learner, batch, hair)
    (spoken + seen).backward()
    assert learner.glasses.weight.grad.abs().sum() > 0
    uncounted = trainer.losses_of(learner, batch, -1)[0]
    assert spoken > 1.2 * uncounted
