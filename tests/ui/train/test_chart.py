import json
import re

from ksh_studio.events import Scored, Validated
from ksh_studio.jobs.history import JobHistories
from ksh_studio.ui.parts.thinning import thinned
from ksh_studio.ui.train.chart import HEIGHT, LEFT, WIDTH, details, loss_chart
from tests.jobs.written_jobs import job_with, step
from tests.work import cpu_seconds


def points_of(chart):
    lines = re.findall(r'<polyline[^>]* points="([^"]+)"', chart)
    return [tuple(map(float, pair.split(","))) for line in lines for pair in line.split()]


def test_ten_thousand_steps_are_at_most_five_hundred_points_and_quickly_drawn(project):
    looks = [Validated(step=n, loss=0.1) for n in range(0, 10_001, 10)]
    scores = [Scored(step=n, score=0.5) for n in range(0, 10_001, 10)]
    job = job_with(project, *(step(n, 10_000) for n in range(1, 10_001)), *looks, *scores)
    histories = JobHistories()
    histories.of(job)
    chart, seconds = cpu_seconds(lambda: loss_chart(histories.of(job), "en"))
    assert seconds < 3
    assert 300 < len(points_of(chart)) <= 500


def test_every_line_is_drawn_inside_and_named_in_legend_and_label(project):
    job = job_with(
        project,
        *(step(n) for n in range(1, 60)),
        *(Validated(step=n, loss=0.5) for n in (0, 50)),
        *(Scored(step=n, score=score) for n, score in ((0, -0.2), (50, 1.4))),
    )
    chart = loss_chart(JobHistories().of(job), "en", recommended=50)
    for name in ("measured", "averaged", "held-out", "likeness", "rate"):
        assert f'<polyline class="{name}"' in chart and f'ksh-swatch {name}"' in chart
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points_of(chart))
    assert chart.count("<circle") == 4 and 'class="chosen"' in chart
    label = re.search('aria-label="([^"]+)"', chart).group(1)
    assert "held-out drawings 0.5000" in label and "learning rate 0.0001" in label


def test_axes_are_named_and_every_point_has_its_values_for_the_pointer(project):
    job = job_with(project, *(step(n) for n in range(1, 60)), Scored(step=50, score=0.5))
    chart = loss_chart(JobHistories().of(job), "ko")
    assert re.findall(r'class="(?:likeness )?axis"[^>]*>([^<]+)<', chart) == ["손실", "스텝", "닮은 정도"]
    points = json.loads(re.search('data-points="([^"]+)"', chart).group(1))
    assert [point[1] for point in points] == list(range(1, 60)) and points[1][2:] == [0.5, 1.0]
    assert LEFT < points[0][0] < points[-1][0] < WIDTH


def test_chart_and_log_are_folded(project):
    history = JobHistories().of(job_with(project, step(1), step(2)))
    folded = details(history, "en", None, "Killed <b>")
    assert folded.startswith("<details") and "<svg" in folded and "Killed &lt;b&gt;" in folded
    assert "<pre" not in details(history, "en", None)
    assert details(JobHistories().of(job_with(project)), "en", None) == ""


def test_lines_that_nobody_measured_are_left_out(project):
    chart = loss_chart(JobHistories().of(job_with(project, step(1), step(2))), "ko")
    assert "held-out" not in chart and "likeness" not in chart and 'class="chosen"' not in chart
    assert loss_chart(JobHistories().of(job_with(project, step(1))), "en") == ""


def test_thinning_keeps_the_first_and_the_last():
    assert thinned([1, 2, 3], 5) == [1, 2, 3]
    few = thinned(range(1000), 40)
    assert (len(few), few[0], few[-1]) == (40, 0, 999)
