"""The design's borders, held by reading the imports of every module, and by importing the page without torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "ksh_studio"
MODULES = sorted(PACKAGE.rglob("*.py"))

GROUND = {
    "config",
    "locales",
    "errors",
    "presets",
    "events",
    "disk",
    "workspace",
    "journal",
    "catalogue",
    "backup",
    "holder",
    "spawning",
    "job_folder",
    "jobs",
    "job_process",
    "job_queue",
    "job_status",
    "job_requests",
    "worker",
}
WORDS = {"settings_table", "narration", "options"}  # what a terminal or the README shows of settings and events
GROUND |= WORDS
MIDDLE = {"models", "lora", "likeness", "publishing"}
STAGES = {"drawings", "training", "generation"}
TOP = {"stages", "cli", "lora_cli", "steering_cli", "steering", "ui", "demo", "doctor"}
HEAVY = {"torch", "diffusers", "transformers", "peft", "accelerate", "datasets", "xformers"}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "ksh_studio":
            found |= {f"ksh_studio.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def own_rooms(path: Path) -> set[str]:
    parts = [name.split(".") for name in imports(path) if name.startswith("ksh_studio.")]
    return {part[1] for part in parts} - {room(path), "__version__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_one_way(path):
    here, used = room(path), own_rooms(path)
    libraries = {name.split(".")[0] for name in imports(path)}
    if here in GROUND:
        assert used <= GROUND
        assert not libraries & (HEAVY | {"gradio"})
    elif here in MIDDLE:
        assert used <= GROUND | MIDDLE
    elif here in STAGES:
        others = STAGES - {here} - ({"generation"} if here == "training" else set())
        assert not used & (others | TOP)
    if here != "ui":
        assert "gradio" not in libraries


def test_every_room_is_named_by_the_design():
    rooms = {room(path) for path in MODULES} - {"__init__"}
    assert rooms <= GROUND | MIDDLE | STAGES | TOP


@pytest.mark.parametrize("module", ["ksh_studio.cli", "ksh_studio.ui.app", "ksh_studio.ui.serve", "ksh_studio.demo"])
def test_the_page_and_the_command_line_do_not_import_torch(module):
    check = f"import {module}, sys; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_forbidden_calls_are_nowhere():
    banned = {"eval", "exec", "os.system", "pickle.load", "pickle.loads", "yaml.load", "torch.load"}
    for path in [*MODULES, ROOT / "studio.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in banned, f"{path}: {name}"
                assert not name.endswith(".extractall"), f"{path}: {name}"
                assert not any(word.arg in ("shell", "trust_remote_code", "allow_pickle") for word in node.keywords), (
                    path
                )


def test_top_level_is_as_the_artist_was_promised():
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    top = {line.split("/")[0] for line in done.stdout.split("\0") if line}
    visible = {name for name in top if not name.startswith(".")}
    assert visible <= {"studio.py", "ksh_studio", "assets", "tests", "requirements.txt", "README.md", "CHANGELOG.md"}
