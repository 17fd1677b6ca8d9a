import os
import signal

import pytest

from ksh_studio.drawings import decoding
from ksh_studio.drawings.decoding import Decoders
from ksh_studio.drawings.pixels import ConvertedPicture, Unreadable
from tests.drawings.pictures import data_of, picture


def deadly(data):
    """Stands in for a decoder that a hostile file crashes."""
    if data == b"kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if data == b"spin":
        decoding.SECONDS_A_FILE = 1  # this is the child: it knows nothing of what a test patched in its parent
        decoding._limit_time()
        while True:
            pass
    return real(data)


real = decoding._convert


def answers(pairs):
    with Decoders(2) as decoders:
        return [
            (thing, a.sentence.key if isinstance(a, Unreadable) else type(a)) for thing, a in decoders.convert(pairs)
        ]


def test_answers_come_in_order_and_things_without_bytes_go_along():
    good = data_of(picture(1))
    pairs = [(n, None if n % 3 == 0 else b"text" if n % 3 == 1 else good) for n in range(20)]
    expected = {0: type(None), 1: "import.reason_no_picture", 2: ConvertedPicture}
    assert answers(pairs) == [(n, expected[n % 3]) for n in range(20)]


def test_few_bytes_wait_at_a_time(monkeypatch):
    good = data_of(picture(1))
    monkeypatch.setattr(decoding, "HELD_BYTES", len(good))
    read = []

    def pairs():
        for number in range(6):
            read.append(number)
            yield number, good

    with Decoders(2) as decoders:
        for thing, _ in decoders.convert(pairs()):
            assert read[-1] <= thing + 1


@pytest.mark.timeout(60)
@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL here")
def test_a_file_that_kills_or_stalls_its_decoder_takes_nothing_else_along(monkeypatch):
    monkeypatch.setattr(decoding, "_convert", deadly)
    good = data_of(picture(1))
    results = answers([(0, good), (1, b"kill"), (2, good), (3, b"spin"), (4, good), (5, good)])
    assert results == [
        (0, ConvertedPicture), (1, "import.reason_crashed"), (2, ConvertedPicture), (3, "import.reason_crashed"),
        (4, ConvertedPicture), (5, ConvertedPicture),
    ]  # fmt: skip
