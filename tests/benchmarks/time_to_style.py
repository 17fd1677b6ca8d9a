"""Seconds until the held-out loss is as low as the original's settings ever get it: the studio's defaults against them.

    python -m tests.benchmarks.time_to_style [--seeds 3] [--every 10] [--every-original 40] [--until-reached]
                                             [--state time_to_style.json] [--max-steps N]

The 40 demo drawings, captioned once by the pocket captioner; 8 of them, the same in every run, are only measured. The
measure is the plain, unweighted loss on them, at noise and timesteps that are the same in every run. Each run is a
process of its own, as the studio starts it, with an empty cache; its seconds count from the start of that process, so
loading, caching and the dry steps before the first step are in them. Every look along the way (previews, style score,
validation) is there for this benchmark only: its seconds are taken out of both curves and printed apart.

"ours reaches it" is the first look at which the studio's defaults are as low as the best look of the preset `original`
in its 20 epochs: nothing finer than a look can be told. The original's lowest point is flat, so its looks may lie
further apart. With --until-reached ours ends at that look, to save time. Finished runs are kept in --state and are not
made again; a run is of one base model only.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ksh_studio.config import CaptionConfig, SettledTraining, TrainConfig
from ksh_studio.demo import DRAWINGS, demo_project
from ksh_studio.drawings.importing import import_drawings
from ksh_studio.errors import validated
from ksh_studio.events import Event, Finished, Preview, Scored, Stopped, Validated
from ksh_studio.jobs.folder import Job
from ksh_studio.jobs.requests import stop_job
from ksh_studio.jobs.start import create_job
from ksh_studio.jobs.status import job_events
from ksh_studio.models.registry import POCKET, base_entry
from ksh_studio.models.shipped import cached_sha256
from ksh_studio.project.workspace import Project, Workspace
from ksh_studio.training.plan.preset import fitted_preset
from ksh_studio.training.plan.settle import settled

ROOT = Path(__file__).resolve().parent.parent.parent
HELD_OUT = 0.2
SPLIT_SEED = 0
KINDS = ("original", "ours")
PROMPTS = (
    "a person, blue hair, pink background {trigger}",
    "a girl, brown hair, glasses, green background {trigger}",
    "a man, black hair, yellow background {trigger}",
)


@dataclass(frozen=True)
class Point:
    """One look of a run."""

    step: int
    seconds: float
    """Since the process was started, without the looks up to and with this one."""
    loss: float
    score: float | None


@dataclass(frozen=True)
class Curve:
    """One finished run."""

    points: list[Point]
    seconds: float
    """Of the whole process, looks included."""

    @property
    def best(self) -> Point:
        """The look with the lowest loss."""
        return min(self.points, key=lambda point: point.loss)

    def reaches(self, loss: float) -> Point | None:
        """The first look at which the loss is as low."""
        return next((point for point in self.points if point.loss <= loss), None)


def main() -> None:
    """Make the runs that the state file lacks, then print every seed and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--every", type=int, default=10, help="steps between looks of ours")
    parser.add_argument("--every-original", type=int, default=40, help="steps between looks of the original")
    parser.add_argument("--until-reached", action="store_true", help="end ours where it has reached the original")
    parser.add_argument("--state", type=Path, default=Path("time_to_style.json"), help="finished runs are kept here")
    parser.add_argument("--max-steps", type=int, help="end both early, to try this script")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        sys.exit(work(chosen.child))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    done = json.loads(chosen.state.read_text(encoding="utf-8")) if chosen.state.exists() else {}
    base = cached_sha256(POCKET / "base" / "unet" / "diffusion_pytorch_model.safetensors")[:12]
    with tempfile.TemporaryDirectory() as folder:
        project: Project | None = None
        pairs: list[dict[str, Curve]] = []
        for seed in range(1, chosen.seeds + 1):
            pairs.append({})
            for kind in KINDS:
                key = f"{base} {kind} seed {seed} {ends(kind, chosen)}"
                if key not in done:
                    project = project or captioned(Workspace(Path(folder)))
                    target = pairs[-1]["original"].best.loss if kind == "ours" and chosen.until_reached else None
                    done[key] = asdict(run(project, settings(project, kind, seed, chosen), target))
                    chosen.state.write_text(json.dumps(done, indent=1), encoding="utf-8")
                pairs[-1][kind] = curve(done[key])
                show(key, pairs[-1][kind])
            print(flush=True)
    summary(pairs)


def looks(kind: str, chosen: argparse.Namespace) -> int:
    """Steps between the looks of a run."""
    return chosen.every if kind == "ours" else chosen.every_original


def ends(kind: str, chosen: argparse.Namespace) -> str:
    """How a run is looked at and where it ends, as the state file names it."""
    last = "reached" if kind == "ours" and chosen.until_reached else chosen.max_steps or "all"
    return f"every {looks(kind, chosen)} steps {last}"


def captioned(workspace: Workspace) -> Project:
    """The demo project with its drawings and captions."""
    workspace.prepare()
    project = demo_project(workspace)
    for _ in import_drawings(DRAWINGS, project):
        pass
    child(create_job(project, "caption", CaptionConfig()))
    return project


def settings(project: Project, kind: str, seed: int, chosen: argparse.Namespace) -> SettledTraining:
    """What is trained: the studio's defaults or the preset `original`, measured alike."""
    values = fitted_preset("original", base_entry("pocket")).settings if kind == "original" else {}
    trigger = project.settings().trigger.text
    values |= {
        "seed": seed,
        "validation_share": HELD_OUT,
        "validation_steps": looks(kind, chosen),
        "validation_prompts": tuple(prompt.format(trigger=trigger) for prompt in PROMPTS),
    }
    if chosen.max_steps:
        values |= {"max_train_steps": chosen.max_steps, "num_train_epochs": None}
    return settled(validated(TrainConfig, values), project, "cpu")


def run(project: Project, config: SettledTraining, target: float | None) -> Curve:
    """One training from nothing; with a target it ends at the first look whose loss is as low."""
    shutil.rmtree(project.workspace.cache, ignore_errors=True)
    project.workspace.prepare()
    job = create_job(project, "train", config)
    start = time.time()
    child(job, target)
    found = Curve(points(job_events(job), start), time.time() - start)
    shutil.rmtree(job.folder)
    return found


def child(job: Job, target: float | None = None) -> None:
    """Work on a job in a process of its own. Raises SystemExit with its log when it does not end well."""
    command = [sys.executable, "-m", "tests.benchmarks.time_to_style", "--child", str(job.folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        time.sleep(0.2)
        if target is not None and any(isinstance(e, Validated) and e.loss <= target for e in job_events(job)):
            stop_job(job)
            process.wait()
    said = job_events(job)
    if not said or not isinstance(said[-1], Finished | Stopped):
        log = job.log.read_text(encoding="utf-8") if job.log.exists() else ""
        raise SystemExit(f"{job.id} ended with {said[-1:]}\n{log}")


def work(folder: Path) -> int:
    """The child: as the studio's own job process, but that split and measurement do not follow the run's seed."""
    from ksh_studio.cli import main as cli
    from ksh_studio.training import run as run_room
    from ksh_studio.training.data.holdout import held_out
    from ksh_studio.training.measures.validation import Validation

    measured = Validation._loss
    Validation._loss = lambda self, item, level, seed: measured(self, item, level, SPLIT_SEED)
    run_room.frozen = lambda ids, share, seed, before=(): held_out(len(ids), share, SPLIT_SEED)
    return cli.main(["job", str(folder)])


def points(events: list[Event], start: float) -> list[Point]:
    """The looks of a run. A look begins at what was said before its first preview and ends with its validation."""
    found: list[Point] = []
    scores = {event.step: event.score for event in events if isinstance(event, Scored)}
    before, looking, aside = start, None, 0.0
    for event in events:
        if looking is None and isinstance(event, Preview | Scored | Validated):
            looking = before
        if isinstance(event, Validated):
            aside += event.time - looking
            looking = None
            found.append(Point(event.step, event.time - start - aside, event.loss, scores.get(event.step)))
        before = event.time
    return found


def curve(values: dict) -> Curve:
    """The run as the state file keeps it."""
    return Curve([Point(**point) for point in values["points"]], values["seconds"])


def show(name: str, made: Curve) -> None:
    """One run, look by look."""
    end = made.points[-1]
    print(f"{name}: {end.seconds:.0f} s, with looks {made.seconds:.0f} s")
    print("  step     " + " ".join(f"{point.step:7d}" for point in made.points))
    print("  seconds  " + " ".join(f"{point.seconds:7.1f}" for point in made.points))
    print("  loss     " + " ".join(f"{point.loss:7.4f}" for point in made.points))
    print("  style    " + " ".join(f"{number(point.score):>7}" for point in made.points), flush=True)


def summary(pairs: list[dict[str, Curve]]) -> None:
    """Every seed's comparison, and the medians."""
    rows = []
    for seed, pair in enumerate(pairs, 1):
        ours, original = pair["ours"], pair["original"]
        best = original.best
        reached = ours.reaches(best.loss)
        seconds = reached.seconds if reached else math.inf
        style = reached.score if reached else None
        rows.append((best.loss, best.seconds, seconds, seconds / best.seconds, best.score, style,
                     original.points[-1].score, ours.points[-1].score, ours.best.loss, ours.best.score))  # fmt: skip
        print(f"seed {seed}: " + told(rows[-1]))
    middle = [statistics.median(known) if (known := [v for v in column if v is not None]) else None
              for column in zip(*rows, strict=True)]  # fmt: skip
    print("medians: " + told(middle))
    print("bar: ratio at most 0.33, style there at least the original's")


def told(row: tuple | list) -> str:
    """One comparison as a line."""
    loss, seconds, ours, ratio, style, our_style, end, our_end, our_best, our_best_style = row
    return (f"original's best loss {loss:.4f} after {seconds:.1f} s; ours reaches it after {ours:.1f} s, "
            f"ratio {ratio:.2f}; style there: original {number(style)}, ours {number(our_style)}; style at the end: "
            f"original {number(end)}, ours {number(our_end)}; ours at its best: loss {our_best:.4f}, "
            f"style {number(our_best_style)}")  # fmt: skip


def number(value: float | None) -> str:
    """A style score, or that there is none."""
    return "none" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    main()
