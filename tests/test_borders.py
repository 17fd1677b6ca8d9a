"""The order of the rooms, computed from every import of the code: none runs upward, and none in a circle.

Imports inside functions and those for the type checker count as the others do.
"""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "ksh_studio"

# From the door to the ground floor; a room imports only what stands below it.
ROOMS = ("cli", "ui", "demo", "stages", "training", "generation", "captions", "lora", "drawings", "jobs", "models",
         "project", "events", "disk", "paths", "romanized", "errors", "locales", "particles", "presets", "config",
         "marks")  # fmt: skip
GROUND = ROOMS[ROOMS.index("events") :]
STAGES = {"training", "generation", "captions", "drawings"}
STRANGERS = {frozenset({"events", "disk"})}
"""Rooms of which neither imports the other, whatever their order above."""
HEAVY = {"torch", "diffusers", "transformers", "peft", "accelerate", "datasets", "xformers"}


def modules_of(package):
    """The path of each module below a package folder, by its dotted name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(name, modules):
    """What the module imports, anywhere in its text: modules of the package, and the names of libraries."""
    own, libraries = set(), set()
    for node in ast.walk(ast.parse(modules[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [each if each in modules else node.module for each in names]
        else:
            continue
        own |= {each for each in names if each in modules}
        libraries |= {each.split(".")[0] for each in names if each not in modules}
    return own - {name}, libraries


def in_a_circle(graph):
    """The names from which one can come back to themselves."""

    def reached(start):
        seen, waiting = set(), list(graph.get(start, ()))
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += graph.get(name, ())
        return seen

    return sorted(name for name in graph if name in reached(name))


MODULES = modules_of(PACKAGE)
IMPORTS = {name: imports_of(name, MODULES) for name in MODULES}
GRAPH = {name: own for name, (own, _) in IMPORTS.items()}


def room(name):
    """`training` for `ksh_studio.training.step.loss`; empty for the package itself."""
    return name.split(".")[1] if "." in name else ""


CROSSED = {(room(name), room(other)) for name, own in GRAPH.items() for other in own if room(name) != room(other)}
"""(room, room that it imports)."""


def test_no_two_files_import_each_other_in_a_circle():
    files = {name: own for name, own in GRAPH.items() if MODULES[name].name != "__init__.py"}
    assert in_a_circle(files) == []


def test_no_import_runs_upward():
    upward = [pair for pair in CROSSED if all(pair) and ROOMS.index(pair[1]) < ROOMS.index(pair[0])]
    assert upward == []
    assert not [pair for pair in CROSSED if frozenset(pair) in STRANGERS]


@pytest.mark.parametrize("name", sorted({room(name) for name in MODULES} - {""}))
def test_the_parts_of_a_room_form_no_circle(name):
    parts = defaultdict(set)
    inside = {module: module.split(".")[2] for module in MODULES if module.startswith(f"ksh_studio.{name}.")}
    for module, part in inside.items():
        parts[part] |= {inside[other] for other in GRAPH[module] if other in inside} - {part}
    assert in_a_circle(parts) == []


def test_a_stage_imports_no_other_stage_but_training_draws_its_previews():
    assert {pair for pair in CROSSED if set(pair) <= STAGES} <= {("training", "generation")}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_gradio_is_for_the_page_and_the_ground_needs_no_torch(name):
    _, libraries = IMPORTS[name]
    if room(name) != "ui":
        assert "gradio" not in libraries
    if room(name) in {*GROUND, "project", "jobs", "drawings"}:
        assert not libraries & HEAVY


def test_every_room_of_the_design_is_there_and_no_other():
    assert {room(name) for name in MODULES} - {""} == set(ROOMS)


def test_an_import_in_a_circle_is_seen_inside_a_function_and_for_the_type_checker(tmp_path):
    package = tmp_path / "ksh_studio"
    (package / "disk").mkdir(parents=True)
    (package / "a.py").write_text("def f():\n    from ksh_studio.disk import b\n    return b\n")
    guarded = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ksh_studio import a\n"
    (package / "disk" / "b.py").write_text(guarded)
    modules = modules_of(package)
    graph = {name: imports_of(name, modules)[0] for name in modules}
    assert graph == {"ksh_studio.a": {"ksh_studio.disk.b"}, "ksh_studio.disk.b": {"ksh_studio.a"}}
    assert in_a_circle(graph) == ["ksh_studio.a", "ksh_studio.disk.b"]


@pytest.mark.parametrize(
    "module",
    ["ksh_studio.cli.main", "ksh_studio.ui.app", "ksh_studio.ui.serve", "ksh_studio.demo", "ksh_studio.stages"],
)
def test_the_page_and_the_command_line_do_not_import_torch(module):
    check = f"import {module}, sys; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_forbidden_calls_are_nowhere():
    banned = {"eval", "exec", "os.system", "pickle.load", "pickle.loads", "yaml.load", "torch.load"}
    for path in [*MODULES.values(), ROOT / "studio.py"]:
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
    assert visible == {"studio.py", "ksh_studio", "assets", "tests", "requirements.txt", "README.md"}
