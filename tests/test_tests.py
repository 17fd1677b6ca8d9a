"""Where a test stands: beside the module that it is about, and it imports no other test."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
PATHS = sorted(TESTS.rglob("*.py"))

ACROSS_ROOMS = {"attacks", "faults", "journeys", "benchmarks", "pocket"}
"""Folders whose tests are about several modules at once, or about what is no part of the package."""
WHOLE_REPOSITORY = {
    "test_borders.py",
    "test_docs.py",
    "test_readme.py",
    "test_requirements.py",
    "test_settings_are_read.py",
    "test_tests.py",
}
"""Files that hold a rule of the whole repository."""
SECOND_FILES = {
    "training/step/test_step_placement.py": "ksh_studio/training/step/step.py",
}
"""Second files of modules whose tests are too many for one."""


def module_of(path: Path) -> Path:
    """`ksh_studio/<room>/<module>.py` for `tests/<room>/test_<module>.py`."""
    inside = path.relative_to(TESTS)
    if (module := SECOND_FILES.get(inside.as_posix())) is not None:
        return ROOT / module
    return ROOT / "ksh_studio" / inside.with_name(inside.name.removeprefix("test_"))


def imported_modules(source: str) -> set[str]:
    """Dotted names of all that a file imports, functions included; `from a import b` gives `a` and `a.b`."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return names


def imported_tests(source: str) -> set[str]:
    """Test modules and conftests among the imports, and all relative imports, which cannot be told apart."""
    modules = imported_modules(source)
    return {name for name in modules if name.startswith(".") or _is_test(name)}


def _is_test(name: str) -> bool:
    parts = name.split(".")
    path = ROOT.joinpath(*parts).with_suffix(".py")
    return parts[0] in ("tests", "conftest") and (parts[-1] == "conftest" or path.name.startswith("test_"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_no_file_imports_a_test_or_a_conftest(path):
    assert imported_tests(path.read_text(encoding="utf-8")) == set()


def test_an_import_of_a_test_is_seen_however_it_is_written():
    for line in (
        "from tests.jobs.test_history import step",
        "from tests.jobs import test_history",
        "import tests.jobs.test_history as history",
        "from tests.training.conftest import Lesson",
        "from tests.training import conftest",
        "def f():\n    from tests.jobs.test_history import step",
        "from . import test_history",
        "from .conftest import project",
    ):
        assert imported_tests(line), line
    assert not imported_tests("import tests.tiny\nfrom tests.tiny import tiny_unet\nfrom tests.training import lessons")


@pytest.mark.parametrize(
    "path",
    [path for path in PATHS if path.name.startswith("test_")],
    ids=lambda path: path.relative_to(TESTS).as_posix(),
)
def test_a_test_file_stands_beside_its_module(path):
    folder, *rest = path.relative_to(TESTS).parts
    if folder in ACROSS_ROOMS or (not rest and path.name in WHOLE_REPOSITORY):
        return
    module = module_of(path)
    package = module.with_suffix("") / "__init__.py"
    assert module.is_file() or package.is_file(), (
        f"{path.relative_to(ROOT)} tests {module.relative_to(ROOT)}: not there"
    )


def test_the_exceptions_are_there():
    """An exception that no file needs any more is taken off the list."""
    assert {folder for folder in ACROSS_ROOMS if not (TESTS / folder).is_dir()} == set()
    assert {name for name in {*WHOLE_REPOSITORY, *SECOND_FILES} if not (TESTS / name).is_file()} == set()
    assert {name for name in SECOND_FILES.values() if not (ROOT / name).is_file()} == set()


def test_every_helper_module_is_used():
    """A file that holds no tests is imported by name, is a conftest, or is a program of its own."""
    imported = {name for path in PATHS for name in imported_modules(path.read_text(encoding="utf-8"))}
    helpers = [path for path in PATHS if not path.name.startswith("test_") and path.name != "conftest.py"]
    programs = [path for path in helpers if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")]
    dotted = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in helpers if path not in programs}
    assert dotted - imported == set()
