"""The command line as an artist uses it: what it prints, and its exit code, for good and bad input."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

from ksh_studio import ROOT
from ksh_studio.cli import main as cli
from ksh_studio.cli.job_actions import ACTIONS
from ksh_studio.cli.options import settings_of
from ksh_studio.config import ProjectSettings, TrainConfig
from ksh_studio.disk import locked
from ksh_studio.events import Finished, Paused
from ksh_studio.jobs.folder import jobs_of
from ksh_studio.jobs.process import run_job
from ksh_studio.jobs.queue import enqueue_job, queued_jobs
from ksh_studio.jobs.requests import pause_job, stop_job
from ksh_studio.jobs.start import create_job, own_device
from ksh_studio.jobs.status import job_status
from ksh_studio.project.set_aside import set_aside
from ksh_studio.project.workspace import Workspace

EVERY_HELP = """
from argparse import _SubParsersAction
from ksh_studio.cli.main import _parser

def show(parser):
    print(parser.format_help())
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for each in action.choices.values():
                show(each)

show(_parser())
"""


@pytest.fixture
def studio(tmp_path, capsys):
    """Run one command on a workspace of its own; returns (exit code, standard output, standard error)."""

    def run(*arguments):
        code = cli.main(["--workspace", str(tmp_path / "w"), "--language", "en", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


@pytest.fixture
def drawings(tmp_path):
    folder = tmp_path / "그림 모음"
    folder.mkdir()
    for number, colour in enumerate(("red", "blue", "#00ff0080")):
        Image.new("RGBA", (300, 200 + number), colour).save(folder / f"소녀 {number}.png")
    (folder / "소녀 0.txt").write_text('a girl, "red"\nhair drawn by KSH drawing style', encoding="utf-8")
    return folder


def test_a_folder_becomes_a_project_and_is_added_to(studio, drawings, tmp_path):
    code, out, _ = studio("import", "--project", "내 그림", drawings)
    assert code == 0
    assert "3 drawings added, 0 already here, 1 captions taken over" in out
    Image.new("RGB", (64, 64), "white").save(drawings / "new.png")
    code, out, _ = studio("import", "--project", "내 그림", drawings)
    assert code == 0
    assert "1 drawings added, 3 already here" in out
    assert [found.settings().name for found in Workspace(tmp_path / "w").projects()] == ["내 그림"]


def test_one_damaged_project_does_not_refuse_the_others(studio, drawings, tmp_path):
    damaged = Workspace(tmp_path / "w").create_project(ProjectSettings(name="old"))
    damaged.settings_file.write_text("{")
    assert studio("import", "--project", "내 그림", drawings)[0] == 0
    code, _, err = studio("caption", "--project", damaged.slug)
    assert code == 1 and "cannot be read" in err


def test_resuming_a_job_that_runs_does_not_take_its_stop_back(studio, tmp_path):
    project = Workspace(tmp_path / "w").create_project(ProjectSettings(name="x"))
    job = create_job(project, "train", TrainConfig())
    stop_job(job)
    before = signal.getsignal(signal.SIGINT)
    try:
        with locked(job.lock, "job.running", name=job.id):
            code, _, err = studio("train", "--project", "x", "--resume", job.id)
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == 1 and "already working" in err
    assert job.stop_requested()


def test_an_export_is_written(studio, drawings, tmp_path):
    studio("import", "--project", "p", drawings)
    code, _, _ = studio("export", "--project", "p", tmp_path / "out", "--format", "imagefolder")
    assert code == 0
    lines = (tmp_path / "out" / "train" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3
    assert sum("red" in line and line.count("drawn by KSH drawing style") == 1 for line in lines) == 1


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["caption", "--project", "nobody"], "There is no project"),
        (["generate", "--project", "p", "--base-model", "/no/such/model"], "/no/such/model"),
        (["generate", "--project", "p", "--base-model", "model.ckpt"], "model.ckpt"),
        (["generate", "--project", "p", "--width", "-8"], "Width"),
        (["generate", "--project", "p", "--width", "8.5"], "Width"),
        (["generate", "--project", "p", "--lora", "../../etc/passwd.safetensors"], "passwd"),
        (["generate", "--project", "p", "--prompt", "a" * 20_001], "Prompt"),
        (["train", "--project", "p"], "drawing"),
        (["caption", "--project", "p"], "drawing"),
        (["train", "--project", "p", "--rank", "0"], "Rank"),
        (["train", "--project", "p", "--resume", "nothing"], "nothing"),
        (["train", "--project", "p", "--queue", "--rank", "0"], "Rank"),
        (["stop", "--project", "p"], "no training yet"),
        (["pause", "--project", "p", "--job", "nothing"], "nothing"),
        (["preview-now", "--project", "p", "--prompt", "a girl"], "no training yet"),
        (["resume", "--project", "p"], "no training yet"),
        (["queue", "--remove", "nothing"], "nothing"),
        (["import", "--project", "p", "/no/such/folder"], "/no/such/folder"),
    ],
)
def test_bad_input_is_one_sentence_and_an_exit_code(studio, command, sentence, tmp_path):
    workspace = Workspace(tmp_path / "w")
    workspace.prepare()
    workspace.create_project(ProjectSettings(name="p", base_model="pocket", captioner="pocket"))
    code, _, err = studio(*command)
    assert code == 1
    assert sentence in err
    assert len(err.strip().splitlines()) == 1


def test_an_empty_folder_and_one_of_text_files_each_get_a_sentence(studio, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("hello")
    said = [studio("import", "--project", "p", tmp_path / name) for name in ("empty", "texts")]
    assert [code for code, _, _ in said] == [1, 1]
    assert all(len(err.strip().splitlines()) == 1 for _, _, err in said)


def test_a_message_is_korean_when_asked(capsys, tmp_path):
    assert cli.main(["--workspace", str(tmp_path), "--language", "ko", "caption", "--project", "x"]) == 1
    assert re.search("[가-힣]", capsys.readouterr().err)


def test_every_setting_is_an_option():
    parsed = cli._parser().parse_args(["train", "--project", "p", "--snr-gamma", "none", "--no-random-flip"])
    config = settings_of(parsed, TrainConfig, {})
    assert config.snr_gamma is None
    assert config.random_flip is False
    for name in TrainConfig.model_fields:
        assert hasattr(parsed, f"set_{name}")


@pytest.mark.parametrize("port", ["0", "99999", "-1", "x"])
def test_a_port_that_is_none_is_a_wrong_argument(port, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["studio", f"--port={port}"])
    assert ended.value.code == 2
    assert "--port" in capsys.readouterr().err


def test_none_is_a_word_where_a_setting_cannot_be_none():
    parsed = cli._parser().parse_args(["train", "--project", "p", "--report-to", "none", "--rank", "none"])
    config = settings_of(parsed, TrainConfig, {})
    assert (config.report_to, config.rank) == ("none", None)


def test_the_preset_original_is_the_originals_command():
    parsed = cli._parser().parse_args(["train", "--project", "p", "--preset", "original", "--rank", "8"])
    config = settings_of(parsed, TrainConfig, cli.TRAIN_PRESETS)
    assert (config.rank, config.lora_alpha, config.train_batch_size, config.num_train_epochs) == (8, 4.0, 1, 20)


def test_options_before_and_after_the_command_count(tmp_path):
    before = cli._parser().parse_args(["--workspace", str(tmp_path), "demo"])
    after = cli._parser().parse_args(["demo", "--workspace", str(tmp_path)])
    assert before.workspace == after.workspace == tmp_path


def test_paths_mean_the_same_wherever_a_child_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KSH_WORKSPACE", "from the environment")
    assert cli._parser().parse_args([]).workspace == tmp_path / "from the environment"
    arguments = cli._parser().parse_args(["--workspace", "rel", "import", "--project", "p", "'그림'", "file:///a%20b"])
    assert arguments.workspace == tmp_path / "rel"
    assert arguments.source == [tmp_path / "그림", Path("/a b")]


def test_sigterm_closes_the_studio_as_ctrl_c_does(tmp_path, monkeypatch):
    from ksh_studio.ui import serve as door

    closed = []

    def serve(arguments):
        try:
            yield "open"
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
            threading.Event().wait(10)
        finally:
            closed.append(True)

    monkeypatch.setattr(door, "serve", serve)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert cli.main(["--workspace", str(tmp_path)]) == 130
    finally:
        signal.signal(signal.SIGTERM, before)
    assert closed == [True]


def test_a_busy_device_is_one_sentence_and_leaves_no_job(studio, drawings, tmp_path):
    studio("import", "--project", "p", drawings)
    workspace = Workspace(tmp_path / "w")
    with own_device(workspace):
        said = [studio(stage, "--project", "p") for stage in ("caption", "train")]
    assert [(code, "at work" in err) for code, _, err in said] == [(1, True), (1, True)]
    assert [job.file.stage for job in jobs_of(workspace.project("p"))] == ["import"]


@pytest.fixture
def project(tmp_path):
    workspace = Workspace(tmp_path / "w")
    workspace.prepare()
    return workspace.create_project(ProjectSettings(name="p", base_model="pocket", captioner="pocket"))


@pytest.fixture
def begun(monkeypatch):
    """The jobs that were begun; no process is made."""
    jobs_begun = []
    monkeypatch.setattr("ksh_studio.cli.job_actions.resume_job", jobs_begun.append)
    return jobs_begun


def ended(project, event):
    job = create_job(project, "train", TrainConfig(max_train_steps=9))
    list(run_job(job, lambda _: iter([event])))
    return job


def test_a_working_job_is_steered_from_the_terminal(studio, project):
    older = create_job(project, "train", TrainConfig())
    job = ended(project, Finished(key="train.finished", values={"steps": "9", "name": "x"}))
    with locked(older.lock, "job.running", name=older.id):
        code, out, _ = studio("pause", "--project", "p")
        assert code == 0 and older.id in out and older.pause_requested()
        code, out, _ = studio("preview-now", "--project", "p", "--prompt", "소녀", "--seed", "7")
        assert code == 0 and str(older.previews) in out
        assert [(one.prompt, one.seed) for one in older.take_requested_previews()] == [("소녀", 7)]
        assert studio("preview-now", "--project", "p", "--prompt", "a", "--seed", "-7")[0] == 1
        assert studio("stop", "--project", "p")[0] == 0 and older.stop_requested()
        code, _, err = studio("stop", "--project", "p", "--job", job.id)
        assert code == 1 and "not working" in err and not job.stop_requested()


def test_a_paused_job_goes_on_or_is_given_up(studio, project, begun):
    job = ended(project, Paused(key="train.stopped", values={"step": "1", "total": "9"}))
    pause_job(job)
    assert "Paused: " + job.id in studio("queue")[1]
    code, out, _ = studio("resume", "--project", "p")
    assert code == 0 and begun == [job] and "background" in out
    assert studio("stop", "--project", "p")[0] == 0
    assert job_status(job).state == "stopped"


def test_a_finished_job_has_nothing_to_go_on_with(studio, project, begun):
    ended(project, Finished(key="train.finished", values={"steps": "9", "name": "x"}))
    code, _, err = studio("resume", "--project", "p")
    assert code == 1 and "is finished" in err and begun == []


def test_listing_the_queue_starts_nothing(studio, project, monkeypatch):
    job = enqueue_job(project, "train", TrainConfig())
    monkeypatch.setattr("ksh_studio.jobs.start._spawn", lambda job: pytest.fail("a job was started"))
    assert studio("queue")[1].strip() == f"1. {job.id}  p"
    assert job_status(job).state == "queued"


def test_of_two_projects_of_one_name_the_first_folder_is_meant_and_a_warning_names_both(studio, drawings, tmp_path):
    workspace = Workspace(tmp_path / "w")
    workspace.prepare()
    for _ in range(2):
        workspace.create_project(ProjectSettings(name="My Style"))
    code, _, err = studio("import", "--project", "My Style", drawings)
    assert code == 0 and "my-style, my-style-2. my-style is used" in err
    projects = workspace.projects()
    assert [any(project.drawings.glob("*.webp")) for project in projects] == [True, False]
    assert "is used" not in studio("import", "--project", "my-style-2", drawings)[2]
    assert any(projects[1].drawings.glob("*.webp"))


def test_a_folder_of_that_very_name_comes_before_a_name(studio, drawings, tmp_path):
    workspace = Workspace(tmp_path / "w")
    workspace.prepare()
    workspace.create_project(ProjectSettings(name="a")).change(name="b")
    workspace.create_project(ProjectSettings(name="b"))
    assert "a is used" not in (err := studio("import", "--project", "b", drawings)[2]) and "b is used" in err
    assert any(workspace.project("b").drawings.glob("*.webp"))


@pytest.mark.parametrize("arguments", [["studio.py", "--help"], ["-c", EVERY_HELP]])
def test_help_works_where_python_leaves_out_the_docstrings(arguments):
    done = subprocess.run([sys.executable, "-OO", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "preview-now" in done.stdout and "draw a prompt in the middle of a training" in done.stdout


def test_the_queue_is_listed_and_shortened(studio, project, drawings, monkeypatch):
    studio("import", "--project", "p", drawings)
    monkeypatch.setattr("ksh_studio.cli.job_actions.start_next_job", lambda workspace: None)
    assert studio("queue")[1].strip() == "Nothing waits."
    code, out, _ = studio("train", "--project", "p", "--queue", "--max-train-steps", "7")
    assert code == 0 and "number 1" in out
    (job,) = queued_jobs(project.workspace)
    assert job.file.settings["max_train_steps"] == 7 and job.file.settings["rank"] is not None
    assert studio("queue")[1].strip() == f"1. {job.id}  p"
    assert "waits in the queue" in studio("resume", "--project", "p", "--job", job.id)[2]
    assert studio("queue", "--remove", job.id)[1].strip() == "Nothing waits."
    assert jobs_of(project, "train") == []


def test_a_job_that_is_first_in_the_queue_begins(studio, project, drawings, monkeypatch):
    studio("import", "--project", "p", drawings)

    def start_next(workspace):
        (job,) = queued_jobs(workspace)
        job.queue_mark.unlink()

    monkeypatch.setattr("ksh_studio.cli.job_actions.start_next_job", start_next)
    assert "has begun in the background" in studio("train", "--project", "p", "--queue")[1]


def test_a_check_is_a_job_of_its_own_stage_and_prints_the_plan(studio, project, drawings, monkeypatch):
    studio("import", "--project", "p", drawings)
    seen = []
    done = Finished(key="train.finished", values={"steps": "9", "name": "x"})
    monkeypatch.setattr(cli, "stage_events", lambda job: seen.append(job) or iter([done]))
    assert studio("train", "--project", "p", "--check", "--rank", "4")[0] == 0
    assert (seen[0].file.stage, seen[0].file.settings["rank"]) == ("check", 4)


def test_the_original_on_the_pocket_model_warns_of_the_size_that_it_changed(studio, project, drawings, monkeypatch):
    studio("import", "--project", "p", drawings)
    project.change(base_model="pocket")
    jobs = []
    done = Finished(key="train.finished", values={"steps": "9", "name": "x"})
    monkeypatch.setattr(cli, "stage_events", lambda job: jobs.append(job) or iter([done]))
    check = ("train", "--project", "p", "--check", "--preset", "original")
    code, _, warned = studio(*check)
    assert code == 0 and "Trained at 128 px, the size of Pocket, instead of the preset's 512 px." in warned
    assert "Trained at" not in studio(*check, "--resolution", "64")[2]
    assert [(job.file.settings["resolution"], job.file.settings["seed"]) for job in jobs] == [(128, 5508), (64, 5508)]


@pytest.mark.parametrize("word", [*ACTIONS, "queue", "train"])
def test_every_word_that_steers_says_what_it_does(word, capsys):
    with pytest.raises(SystemExit) as asked:
        cli.main([word, "--help"])
    assert asked.value.code == 0
    assert "--job" in (shown := capsys.readouterr().out) or word in ("queue", "train")
    assert word not in ACTIONS or ACTIONS[word].more.split()[-1] in shown
    assert word != "train" or ("--queue" in shown and "--check" in shown)


def test_what_a_restored_backup_names_is_said_and_used_only_with_the_option(studio, project, drawings):
    project.change(base_model="stranger/model")
    set_aside(project, {"pocket"})
    _, _, err = studio("import", "--project", "p", drawings)
    assert "stranger/model" in err and "--allow-restored" in err and project.settings().base_model is None
    _, _, err = studio("import", "--project", "p", drawings, "--allow-restored")
    assert "stranger/model" not in err and project.settings().base_model == "stranger/model"
