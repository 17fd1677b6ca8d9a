"""The events file: a torn line costs itself and no other."""

import errno

import pytest

from ksh_studio.config import TrainConfig
from ksh_studio.errors import StudioError
from ksh_studio.events import Failed, Resumed, to_line
from ksh_studio.jobs.journal import RESERVE_BYTES, EventReader, Journal, last_bytes
from ksh_studio.jobs.start import create_job


@pytest.fixture
def path(project):
    return create_job(project, "train", TrainConfig()).events_file


def steps(events):
    return [event.step for event in events]


def test_a_reader_gives_each_event_once_and_waits_for_the_end_of_a_line(path):
    reader, line = EventReader(path), to_line(Resumed(step=2))
    assert reader.new() == []
    path.write_bytes(to_line(Resumed(step=1)) + line[:9])
    assert steps(reader.new()) == [1] and reader.new() == []
    with path.open("ab") as file:
        file.write(line[9:])
    assert steps(reader.new()) == [2]


def test_a_file_that_was_replaced_by_a_shorter_one_is_read_from_its_beginning(path):
    path.write_bytes(to_line(Resumed(step=1)) * 3)
    reader = EventReader(path)
    assert len(reader.new()) == 3
    path.write_bytes(to_line(Resumed(step=7)))
    assert steps(reader.new()) == [7]


def test_what_is_appended_to_half_a_line_begins_a_new_one(path):
    path.write_bytes(to_line(Resumed(step=1)) + b'{"kind": "resu')
    with Journal(path) as journal:
        journal.append(Resumed(step=2))
        journal.append(Resumed(step=3))
    assert steps(EventReader(path).rest()) == [1, 2, 3]
    assert path.read_bytes().count(b"\n") == 4


def test_nothing_is_written_once_the_check_fails(path):
    def refuse():
        raise StudioError("job.taken_over", name="x")

    with Journal(path, refuse) as journal, pytest.raises(StudioError, match="no longer"):
        journal.append(Resumed(step=1))
    assert not path.exists()


def test_the_last_bytes_of_a_file(path):
    assert last_bytes(path, 5) == b""
    path.write_bytes(b"0123456789")
    assert (last_bytes(path, 3), last_bytes(path, 99)) == (b"789", b"0123456789")


def test_the_room_for_the_last_line_is_there_while_the_journal_is_open_and_given_up_for_that_line_only(path):
    reserve = path.with_name("reserve")
    with Journal(path, reserve=reserve) as journal:
        assert reserve.stat().st_size == RESERVE_BYTES
        write, fails = journal._write_line, [True, True]

        def full(data, durable):
            if fails.pop():
                raise OSError(errno.ENOSPC, "No space left on device")
            write(data, durable)

        journal._write_line = full
        with pytest.raises(StudioError, match="The disk is full"):
            journal.append(Resumed(step=1))
        assert reserve.exists()
        fails[:] = [False, True]
        journal.append(Failed(key="disk.full", values={"path": "x"}))
        assert not reserve.exists()
    assert [event.kind for event in EventReader(path).new()] == ["failed"]


def test_the_room_is_free_again_when_the_journal_is_closed(path):
    with Journal(path, reserve=path.with_name("reserve")):
        pass
    assert not path.with_name("reserve").exists()
