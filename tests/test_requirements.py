"""What the code imports, and what `requirements.txt` installs: the same, besides the packages that were asked for."""

import ast
import re
import sys
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
ASKED_FOR = {"gradio", "torch", "diffusers", "transformers", "peft", "accelerate", "datasets", "xformers"}
"""The packages that the studio was asked to be built on: listed whether or not a file imports them by name."""
ONLY_WHEN_CHOSEN = {
    "bitsandbytes": "--optimizer adamw8bit; needs a CUDA GPU",
    "prodigyopt": "--optimizer prodigy",
    "schedulefree": "--optimizer schedule_free",
    "tensorboard": "--report-to tensorboard",
    "wandb": "--report-to wandb; an account of the artist's own",
    "trackio": "--report-to trackio",
}
"""Not listed: the setting that needs one says how to install it."""
NEEDED_BY_OTHERS = {"socksio": "httpx and httpx2 refuse to start behind a SOCKS proxy without it"}
"""Listed although the studio does not import it."""
FOR_THE_TYPE_CHECKER = {"_typeshed": "comes with mypy; only behind TYPE_CHECKING"}
MADE_OF_TEXT = {"import_module", "find_spec", "__import__"}
"""Functions that import a module whose name is a text: each place is known, with what it may import."""
PLACES = {
    "ksh_studio/training/measures/trackers.py": {"tensorboard", "wandb", "trackio"},
    "ksh_studio/training/step/optimizers.py": {"bitsandbytes", "prodigyopt", "schedulefree"},
    "ksh_studio/cli/doctor.py": {"xformers", *ONLY_WHEN_CHOSEN},
}


def listed() -> dict[str, Requirement]:
    """The lines of requirements.txt by name, spelled as the package index spells names."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return {canonical(one.name): one for one in (Requirement(line) for line in lines if line.strip())}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imports_in(text: str) -> set[str]:
    """Top-level names of every import, those inside functions included."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def sources() -> dict[str, str]:
    paths = [ROOT / "studio.py", *sorted((ROOT / "ksh_studio").rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def imported() -> set[str]:
    """Packages, as the index spells them, of which the studio imports something by name."""
    modules = set().union(*map(imports_in, sources().values()))
    modules -= {*sys.stdlib_module_names, "ksh_studio", *FOR_THE_TYPE_CHECKER}
    owners = packages_distributions()
    return {canonical(owners.get(module, [module])[0]) for module in modules}


def test_everything_that_is_imported_is_listed_and_nothing_else():
    needed = imported() - {canonical(name) for name in ONLY_WHEN_CHOSEN}
    assert sorted(set(listed()) - ASKED_FOR) == sorted((needed | set(NEEDED_BY_OTHERS)) - ASKED_FOR)


def test_the_packages_that_were_asked_for_are_there():
    assert set(listed()) >= ASKED_FOR
    assert str(listed()["xformers"].marker) == 'sys_platform == "linux" and platform_machine == "x86_64"'


def test_a_module_named_by_a_text_is_imported_only_where_it_is_known_what():
    calls = {
        path
        for path, text in sources().items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in MADE_OF_TEXT
    }
    assert calls == set(PLACES)
    assert set().union(*PLACES.values()) <= {*ONLY_WHEN_CHOSEN, *ASKED_FOR}
    assert not set(listed()) & set(ONLY_WHEN_CHOSEN)


def test_an_import_inside_a_function_counts():
    text = "import os\ndef f():\n    from scipy.signal import x\n    import a.b as c\n    from . import d\n"
    assert imports_in(text) == {"os", "scipy", "a"}


@pytest.mark.parametrize("name", sorted(listed()))
def test_what_is_installed_here_is_within_the_bounds(name):
    requirement = listed()[name]
    if requirement.marker is None or requirement.marker.evaluate():
        assert requirement.specifier.contains(version(name)), version(name)


def test_a_spaces_pydantic_is_within_the_bounds():
    # A Space also installs gradio's mcp extra, which holds pydantic at 2.12.5.
    assert listed()["pydantic"].specifier.contains("2.12.5")


def locked() -> dict[str, tuple[str, int]]:
    """Version and number of hashes of each package in requirements.lock."""
    text = (ROOT / "assets" / "docs" / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word) for _, *words in lines for word in words)
    return {pin.split("==")[0]: (pin.split("==")[1], len(words)) for pin, *words in lines}


def test_the_lock_file_names_what_it_leaves_out_and_what_it_is_for():
    first = (ROOT / "assets" / "docs" / "requirements.lock").read_text(encoding="utf-8").splitlines()[0]
    assert all(word in first for word in ("Linux", "3.11", "3.12", "torch", "nvidia-*", "cuda-*"))


@pytest.mark.parametrize("name", sorted(set(listed()) - {"torch"}))
def test_the_lock_file_holds_every_requirement_within_its_bounds(name):
    number, digests = locked()[name]
    assert listed()[name].specifier.contains(number)
    assert 1 <= digests <= 2  # one for each Python, or one for both


def test_the_lock_file_holds_what_its_packages_need():
    environment = {"python_version": "3.11", "sys_platform": "linux", "platform_machine": "x86_64", "extra": ""}
    needed = set(listed())
    for name in locked():
        lines = map(Requirement, requires(name) or []) if version(name) == locked()[name][0] else []
        needed |= {canonical(one.name) for one in lines if not one.marker or one.marker.evaluate(environment)}
    left_out = {name for name in needed if re.fullmatch(r"torch|triton|nvidia-.*|cuda-.*", name)}
    assert needed - left_out - set(locked()) == set()


def test_scipy_slows_no_start():
    # diffusers imports it wherever it is installed: 0.6 s at every start, for samplers that the studio does not have.
    assert not {"scipy", "torchsde"} & set(listed())
