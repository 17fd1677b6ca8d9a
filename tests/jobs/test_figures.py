from datetime import datetime

import pytest

from ksh_studio.jobs.figures import duration, loss_figure, moment, roughly, share, size


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (846.3, 25_280, "0.8 of 25 GB"),
        (12.4, 9_400, "0.01 of 9.4 GB"),
        (30_000, 25_280, "30 of 25 GB"),
        (0, 25_280, "0.0 of 25 GB"),
        (512, 999, "512 of 999 MB"),
    ],
)
def test_a_share_is_in_the_unit_that_suits_the_whole(part, whole, text):
    assert share(part, whole, "en") == text


def test_a_share_in_korean_names_the_whole_first():
    assert share(846.3, 25_280, "ko") == "25GB 중 0.8"


def test_times_sizes_and_losses():
    assert (duration(25.0, "en"), duration(61, "en"), duration(3725, "ko")) == ("25 s", "1 min 1 s", "1시간 2분")
    assert (roughly(25, "en"), roughly(200, "en"), roughly(7300, "en")) == (
        "about 25 s",
        "about 3 min",
        "about 2 h 1 min",
    )
    assert (size(0.0123), size(0)) == ("12 kB", "0 MB")
    assert (size(812.4), size(1900), loss_figure(0.25)) == ("812 MB", "1.9 GB", "0.2500")


def test_when_something_was_is_said_from_today_on():
    now = datetime(2026, 11, 28, 9, 30).timestamp()
    at = lambda *then, language="en": moment(datetime(*then).timestamp(), language, now)  # noqa: E731
    assert at(2026, 11, 28, 5, 54) == "today 05:54" and at(2026, 11, 28, 0, 0, language="ko") == "오늘 00:00"
    assert at(2026, 11, 27, 23, 59) == "yesterday 23:59" and at(2026, 11, 27, 8, 1, language="ko") == "어제 08:01"
    assert (at(2026, 11, 26, 18, 2), at(2024, 2, 29, 7, 0)) == ("2026-11-26 18:02", "2024-02-29 07:00")


@pytest.mark.parametrize("time", [-1e300, 1e300])
def test_a_moment_that_no_clock_shows_is_the_nearest_that_one_does(time):
    assert moment(time, "en")[4] == "-"
