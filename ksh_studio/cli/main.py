"""Every stage without a browser: studio · demo · import · caption · train · generate · export · doctor.

What works in another process is controlled from here too: stop · pause · resume · preview-now · queue.

The command line prints the very events that a page reads. Exit codes: 0 done, 1 a sentence says why not, 2 wrong
arguments, 130 interrupted.
"""

import argparse
import locale
import logging
import os
import signal
import sys
from pathlib import Path

from ksh_studio.cli.commands import Commands, common_options, project_of
from ksh_studio.cli.job_actions import queue_training
from ksh_studio.cli.job_commands import add_job_commands
from ksh_studio.cli.lora_commands import add_lora_commands
from ksh_studio.cli.options import settings_of, settings_options
from ksh_studio.cli.settings_table import settings_table
from ksh_studio.config import CaptionConfig, ExportConfig, GenerateConfig, ImportConfig, TrainConfig, Trigger
from ksh_studio.disk import any_disk_errors, is_locked
from ksh_studio.errors import StudioError, validated
from ksh_studio.events import Failed, Warned
from ksh_studio.jobs.folder import Job, job_at, open_job
from ksh_studio.jobs.printing import print_any_letter, print_events
from ksh_studio.jobs.process import run_job
from ksh_studio.jobs.queue import start_next_job
from ksh_studio.jobs.requests import forget_requests, request_stop
from ksh_studio.jobs.spawn import set_environment
from ksh_studio.jobs.start import create_job, create_job_if_free, own_device
from ksh_studio.locales import Language
from ksh_studio.models.choice import base_model_of
from ksh_studio.models.registry import base_entry
from ksh_studio.paths import typed_path
from ksh_studio.presets import CAPTION_PRESETS, TRAIN_PRESETS
from ksh_studio.project.workspace import Project, Workspace, default_root
from ksh_studio.stages import stage_events


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    set_environment()
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    print_any_letter()
    arguments = _parser().parse_args(argv)
    language: Language = arguments.language
    try:
        with any_disk_errors(arguments.workspace):
            return arguments.run(arguments)
    except StudioError as error:
        print(error.text(language), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="studio.py", description="Drawings in, a model that draws like them out.")
    parser.set_defaults(run=_studio, workspace=default_root(), language=_system_language())
    common_options(parser)
    _studio_options(parser)
    commands = Commands(parser.add_subparsers(title="commands", metavar=""))
    add = commands.add
    _studio_options(add("studio", _studio, "open the page (the default)"))
    demo = add("demo", _demo, "import, caption, train and generate on the demo drawings")
    demo.add_argument("--seed", type=int, default=0, help="same seed on the same machine, same result")
    demo.add_argument("--max-train-steps", type=int, help="fewer steps for a first look; the whole run by default")
    importing = add("import", _import, "bring drawings into a project", project=True)
    importing.add_argument("source", type=typed_path, nargs="+", help="a folder, a zip, or pictures")
    importing.add_argument("--trigger", help="words that call the style")
    caption = add("caption", _caption, "write captions", project=True)
    settings_options(caption, CaptionConfig, CAPTION_PRESETS)
    train = add("train", _train, "train a LoRA", project=True)
    how = train.add_mutually_exclusive_group()
    how.add_argument("--resume", metavar="JOB", help="go on with this job of the project, in this terminal")
    how.add_argument(
        "--queue", action="store_true", help="wait for the trainings before it, and work in the background"
    )
    how.add_argument("--check", action="store_true", help="only measure what it will take: time, memory, disk")
    settings_options(train, TrainConfig, TRAIN_PRESETS)
    add_job_commands(commands)
    generate = add("generate", _generate, "draw pictures", project=True)
    settings_options(generate, GenerateConfig, {})
    export = add("export", _export, "write the drawings and captions for other programs", project=True)
    export.add_argument("target", type=typed_path, help="a folder that does not exist yet, or a .zip")
    export.add_argument("--format", default="imagefolder", choices=("imagefolder", "info.csv", "txt", "kohya"))
    export.add_argument("--names", default="original", choices=("original", "id"), help="what the files are called")
    add_lora_commands(commands.add_group("lora", "convert, merge or publish LoRA files"))
    add("doctor", _doctor, "what this machine has, and what is missing")
    add("settings", _settings_table, "every setting of training as a Markdown table")
    commands.add_internal("job", _job).add_argument("folder", type=typed_path)
    commands.add_internal("worker", _worker).add_argument("root", type=typed_path)
    return parser


def _system_language() -> Language:
    return "ko" if (locale.getlocale()[0] or "").startswith(("ko", "Korean")) else "en"


def _studio_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--share", action="store_true", help="also open a temporary public link")
    parser.add_argument("--password", help="for visitors of the link; made up and printed when not given")
    parser.add_argument("--port", type=port_number, help="of the page; the first free one from 7860 when not given")
    parser.add_argument("--no-browser", action="store_true", help="do not open the web browser")


def port_number(text: str) -> int:
    """A port of this machine. Raises ValueError, of which argparse makes its message."""
    number = int(text)
    if not 0 < number < 65_536:
        raise ValueError(text)
    return number


def _studio(arguments: argparse.Namespace) -> int:
    from ksh_studio.ui.serve import serve

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service that is stopped closes its tunnel too
    for line in serve(arguments):
        print(line, flush=True)
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from ksh_studio.demo import demo

    train = validated(TrainConfig, {"seed": arguments.seed, "max_train_steps": arguments.max_train_steps})
    return print_events(demo(arguments.workspace, train), arguments.language)


def _import(arguments: argparse.Namespace) -> int:
    project = project_of(arguments, make=True)
    if arguments.trigger is not None:
        project.change(trigger=validated(Trigger, {"text": arguments.trigger}))
    sources = tuple(str(source.absolute()) for source in arguments.source)
    return _work_here(create_job(project, "import", ImportConfig(sources=sources)), arguments.language)


def _caption(arguments: argparse.Namespace) -> int:
    config = settings_of(arguments, CaptionConfig, CAPTION_PRESETS)
    return _work_here(create_job_if_free(project_of(arguments), "caption", config), arguments.language)


def _train(arguments: argparse.Namespace) -> int:
    project = project_of(arguments)
    if arguments.resume:
        job = job_at(project.jobs / Path(arguments.resume).name, project)
        if not is_locked(job.lock):  # else the requests are meant for the process that works on it
            forget_requests(job)
    else:
        from ksh_studio.models.device import pick_device
        from ksh_studio.training.plan.settle import settled

        device = pick_device().type
        config = settled(_training_settings(arguments, project, device), project, device)
        if arguments.queue:
            print(queue_training(project, config, arguments.language))
            return 0
        job = create_job_if_free(project, "check" if arguments.check else "train", config)
    return _work_here(job, arguments.language)


def _training_settings(arguments: argparse.Namespace, project: Project, device_type: str) -> TrainConfig:
    """What was typed, over the preset as the base model can use it; what had to be changed for that is printed."""
    from ksh_studio.training.plan.preset import fitted_preset

    base = base_entry(base_model_of(project, device_type, arguments.set_base_model or ""))
    trigger = project.settings().trigger.text
    presets = {name: fitted_preset(name, base, trigger) for name in TRAIN_PRESETS}
    if arguments.preset and arguments.set_resolution is None:
        print_events((Warned.of(change) for change in presets[arguments.preset].changes), arguments.language)
    return settings_of(arguments, TrainConfig, {name: preset.settings for name, preset in presets.items()})


def _work_here(job: Job, language: Language) -> int:
    """Work on the job in this terminal, then let the next one of the queue begin in the background.

    Ctrl+C keeps everything, as Stop on the page does.
    """
    before = signal.signal(signal.SIGINT, lambda *_: request_stop(job))
    try:
        code = print_events(run_job(job, stage_events), language)
    finally:
        signal.signal(signal.SIGINT, before)
    start_next_job(job.project.workspace)
    return code


def _generate(arguments: argparse.Namespace) -> int:
    from ksh_studio.generation.stage import generate

    project = project_of(arguments)
    config = settings_of(arguments, GenerateConfig, {})
    with own_device(project.workspace):
        return print_events(generate(config, project, lambda: False), arguments.language)


def _export(arguments: argparse.Namespace) -> int:
    config = ExportConfig(format=arguments.format, names=arguments.names, target=str(arguments.target.absolute()))
    return _work_here(create_job(project_of(arguments), "export", config), arguments.language)


def _doctor(arguments: argparse.Namespace) -> int:
    from ksh_studio.cli.doctor import findings

    for finding in findings(Workspace(arguments.workspace)):
        print(finding.text(arguments.language))
    return 0


def _settings_table(arguments: argparse.Namespace) -> int:
    print(settings_table())
    return 0


def _job(arguments: argparse.Namespace) -> int:
    """The child process of one job: what `begin_job` starts."""
    job = open_job(arguments.folder)
    *_, last = run_job(job, stage_events)
    start_next_job(job.project.workspace)
    return 1 if isinstance(last, Failed) else 0


def _worker(arguments: argparse.Namespace) -> int:
    from ksh_studio.generation.worker.process import serve

    lines_out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    sys.stdout = sys.stderr  # only events may go to the page: what a library prints goes to the log
    serve(sys.stdin.buffer, lines_out, Workspace(arguments.root))
    return 0


if __name__ == "__main__":
    sys.exit(main())
