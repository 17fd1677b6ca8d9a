import os
import signal
import threading
import time

import pytest

from ksh_studio.drawings import decoding, sandbox
from ksh_studio.drawings.decoding import Decoders
from ksh_studio.drawings.pixels import ConvertedPicture, Unreadable
from tests.drawings.pictures import data_of, picture


def deadly(data, before_decoding):
    """Stands in for a decoder that a hostile file crashes."""
    if data == b"kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if data == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if data == b"spin":
        sandbox.SECONDS_A_FILE = 1  # this is the child: it knows nothing of what a test patched in its parent
        sandbox.allow_time_for_a_file()
        while True:
            pass
    return real(data, before_decoding)


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
    results = answers([(0, good), (1, b"kill"), (2, good), (3, b"spin"), (4, good), (5, b"crash"), (6, good)])
    assert results == [
        (0, ConvertedPicture), (1, "import.reason_crashed"), (2, ConvertedPicture), (3, "import.reason_crashed"),
        (4, ConvertedPicture), (5, "import.reason_crashed"), (6, ConvertedPicture),
    ]  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL here")
def test_a_file_is_tried_again_only_when_the_system_had_no_memory(monkeypatch):
    monkeypatch.setattr(decoding, "_convert", deadly)
    ended = []
    end = decoding._Decoder.end
    monkeypatch.setattr(decoding._Decoder, "end", lambda decoder: ended.append(end(decoder)) or ended[-1])
    with Decoders(1) as decoders:
        (_, crashed), (_, killed) = decoders.convert([(0, b"crash"), (1, b"kill")])
        assert crashed.sentence.key == killed.sentence.key == "import.reason_crashed"
        assert ended == [-signal.SIGSEGV, -signal.SIGKILL, -signal.SIGKILL]


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL here")
def test_a_picture_whose_decoder_the_system_killed_comes_in_when_it_is_alone():
    answers_of = iter([(None, -signal.SIGKILL), ("converted", None)])
    with Decoders(2) as decoders:
        decoders._tried = lambda data, memory: next(answers_of)
        assert decoders._convert(b"") == "converted"
        assert decoders._memory._used == 0


@pytest.mark.timeout(60)
@pytest.mark.skipif(os.name == "nt", reason="no limits there")
def test_a_stop_ends_a_decoder_in_flight(monkeypatch):
    monkeypatch.setattr(decoding, "_convert", endless)
    good, began = data_of(picture(1)), []
    with Decoders(2) as decoders:
        for thing, _ in decoders.convert([(0, None), (1, b"endless"), (2, good)], lambda: bool(began)):
            began.append(thing)
        children = [decoder._process for decoder in decoders._all]
    assert began == [0]
    assert not any(child.is_alive() for child in children)


def endless(data, before_decoding):
    while True:
        time.sleep(1)


def test_decoders_wait_for_memory_and_a_large_picture_is_decoded_alone():
    memory, most = decoding._Memory(100), []
    at_work, lock = [], threading.Lock()

    def work(need):
        with memory.taken(need):
            with lock:
                at_work.append(need)
                most.append(sum(at_work))
            time.sleep(0.02)
            with lock:
                at_work.remove(need)

    threads = [threading.Thread(target=work, args=(need,)) for need in (60, 60, 30, 30, 500, 10, 60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(total for total in most if total != 500) <= 100
    assert 500 in most


def test_what_a_picture_needs_is_asked_for_before_it_is_decoded():
    asked = []
    decoding.convert(data_of(picture(1)), asked.append)
    assert asked == [picture(1).width * picture(1).height]
    damaged = []
    with pytest.raises(Unreadable):
        decoding.convert(b"no picture", damaged.append)
    assert damaged == []
