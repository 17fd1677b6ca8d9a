import random
from collections import Counter
from itertools import islice

import torch

from ksh_studio.training.data.batches import batches
from ksh_studio.training.random_streams import generator

CPU = torch.device("cpu")


def test_batches_are_full_and_of_one_bucket_and_all_items_are_seen_equally():
    bucket_of = [0] * 10 + [1] * 5 + [2]
    drawn = list(islice(batches(bucket_of, 4, seed=1), 400))
    assert all(len(batch) == 4 and len({bucket_of[item] for item in batch}) == 1 for batch in drawn)
    seen = Counter(item for batch in drawn for item in batch)
    assert set(seen) == set(range(16)) and max(seen.values()) - min(seen.values()) <= 4


def test_an_epoch_of_one_bucket_is_a_shuffle():
    drawn = list(islice(batches([0] * 12, 3, seed=5), 8))
    epochs = [sum(drawn[:4], []), sum(drawn[4:], [])]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs) and epochs[0] != epochs[1]


def test_batches_go_on_exactly_after_any_number():
    bucket_of = [0, 0, 1, 1, 1, 0, 2]
    whole = list(islice(batches(bucket_of, 2, seed=3), 40))
    random.seed(0)  # nothing outside may have a say
    for k in range(40):
        assert list(islice(batches(bucket_of, 2, seed=3), k, 40)) == whole[k:]
    assert whole != list(islice(batches(bucket_of, 2, seed=4), 40))


def test_streams_do_not_share_numbers():
    def first(*key):
        return torch.rand(3, generator=generator(*key, CPU)).tolist()

    assert first(1, "noise", 7) == first(1, "noise", 7)
    others = [first(1, "flip", 7), first(1, "noise", 8), first(2, "noise", 7), first(1, "dropout", 7)]
    assert len({tuple(numbers) for numbers in [first(1, "noise", 7), *others]}) == 5
