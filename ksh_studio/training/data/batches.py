"""Which drawings a step sees, and its random numbers: all from the seed and a counter, so that resuming is exact.

Nothing here has hidden state. What a run needs to go on is how many batches it has drawn.
"""

import random
from collections.abc import Iterator, Sequence


def batches(bucket_of: Sequence[int], batch_size: int, seed: int) -> Iterator[list[int]]:
    """Endless batches of indices into `bucket_of`, each of one bucket and full.

    Every epoch is a new shuffle of all items. What does not fill a batch of its bucket waits for the next epoch, so all
    items are seen equally often and every batch has the same size.
    """
    waiting: dict[int, list[int]] = {}
    epoch = 0
    while True:
        order = list(range(len(bucket_of)))
        random.Random(f"{seed}/{epoch}").shuffle(order)
        for item in order:
            queue = waiting.setdefault(bucket_of[item], [])
            queue.append(item)
            if len(queue) == batch_size:
                yield queue.copy()
                queue.clear()
        epoch += 1
