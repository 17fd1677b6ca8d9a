import contextlib
import errno
import hashlib
import os
import threading

import pytest

from ksh_studio import disk
from ksh_studio.disk import (
    any_disk_errors,
    is_locked,
    lock_file,
    locked,
    replacing,
    sha256,
    write_all,
    write_text,
)
from ksh_studio.errors import StudioError


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    target = tmp_path / "info.json"
    write_text(target, "old")
    with pytest.raises(RuntimeError), replacing(target) as beside:
        beside.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["info.json"]


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path, monkeypatch):
    target = tmp_path / "info.json"
    write_text(target, "old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(disk.os, "fsync", full)
    with pytest.raises(StudioError, match="The disk is full"):
        write_text(target, "new")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["info.json"]


def test_files_written_together_are_all_synced_before_one_of_them_has_its_name(tmp_path, monkeypatch):
    synced = []
    real = disk.sync

    def sync(path):
        if path.is_file():
            assert not (tmp_path / "a").exists() and not (tmp_path / "deep" / "b").exists()
        synced.append(path)
        real(path)

    monkeypatch.setattr(disk, "sync", sync)
    write_all({tmp_path / "a": b"1", tmp_path / "deep" / "b": b"2"})
    assert (tmp_path / "a").read_bytes() == b"1" and (tmp_path / "deep" / "b").read_bytes() == b"2"
    assert len(synced) == 4 and set(synced[2:]) == {tmp_path, tmp_path / "deep"}
    assert sorted(os.listdir(tmp_path)) == ["a", "deep"]


def test_of_files_written_together_none_is_half_when_the_disk_is_full(tmp_path, monkeypatch):
    write_text(tmp_path / "a", "old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(disk.os, "fsync", full)
    with pytest.raises(StudioError, match="The disk is full"):
        write_all({tmp_path / "a": b"new", tmp_path / "b": b"new"})
    assert (tmp_path / "a").read_text() == "old" and os.listdir(tmp_path) == ["a"]


def test_a_look_at_a_lock_does_not_keep_anybody_from_taking_it(workspace):
    """Pages look at every job's lock each second; a job that starts at that moment must not be told it runs already."""
    looking = lock_file(workspace.studio_lock)
    looking.acquire(timeout=0)
    threading.Timer(0.05, looking.release).start()
    with locked(workspace.studio_lock, "device.busy"):
        assert is_locked(workspace.studio_lock)


@pytest.mark.parametrize(("refusals", "written"), [(3, "new"), (1000, "old")])
def test_a_file_that_windows_says_is_open_is_replaced_when_it_is_free(tmp_path, monkeypatch, refusals, written):
    target, replace, refused = tmp_path / "project.json", os.replace, []
    write_text(target, "old")

    def on_windows(source, to):
        if len(refused) < refusals:
            error = PermissionError(errno.EACCES, "in use")
            error.winerror = 32
            refused.append(error)
            raise error
        replace(source, to)

    monkeypatch.setattr(disk.os, "replace", on_windows)
    monkeypatch.setattr(disk, "REPLACE_SECONDS", 0.2)
    with contextlib.suppress(StudioError):
        write_text(target, "new")
    assert target.read_text() == written
    assert os.listdir(tmp_path) == ["project.json"]


def test_two_lookers_do_not_take_each_other_for_the_holder(workspace):
    looking = lock_file(workspace.studio_lock)
    looking.acquire(timeout=0)
    threading.Timer(0.01, looking.release).start()
    assert not is_locked(workspace.studio_lock)


def test_the_hash_of_a_file_and_of_its_end(tmp_path):
    (tmp_path / "a").write_bytes(b"headerabc")
    assert sha256(tmp_path / "a", start=6) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(tmp_path / "a") == hashlib.sha256(b"headerabc").hexdigest()


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "The disk is full: {path}"),
        (errno.EACCES, "{path} may not be written or opened"),
        (errno.EROFS, "{path} may not be written or opened"),
        (errno.ENOTDIR, "Something else stands where the studio needs {path}"),
        (errno.EIO, "The disk does not answer for {path}"),
    ],
)
def test_an_error_of_the_disk_names_the_file_that_the_system_names(tmp_path, number, sentence):
    with pytest.raises(StudioError) as raised, any_disk_errors(tmp_path):
        raise OSError(number, "why", str(tmp_path / "a"))
    assert str(raised.value).startswith(sentence.format(path=tmp_path / "a"))


def test_an_error_of_the_disk_without_a_file_names_the_folder_and_another_error_stays(tmp_path):
    with pytest.raises(StudioError, match="The disk is full") as raised, any_disk_errors(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(tmp_path) in str(raised.value)
    with pytest.raises(ConnectionError), any_disk_errors(tmp_path):
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")


@pytest.mark.skipif(os.name == "nt", reason="Windows reports such a lock as held")
def test_a_lock_of_another_user_is_looked_at_and_not_taken(tmp_path, monkeypatch):
    acquire = disk.FileLock.acquire

    def refuse(lock, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", lock.lock_file)

    holder = lock_file(tmp_path / "lock")
    acquire(holder, timeout=0)
    monkeypatch.setattr(disk.FileLock, "acquire", refuse)
    assert is_locked(tmp_path / "lock")
    with pytest.raises(StudioError, match="may not be written"), locked(tmp_path / "lock", "device.busy"):
        pass
    holder.release()
    assert not is_locked(tmp_path / "lock")
