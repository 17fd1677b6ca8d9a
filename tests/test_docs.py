"""What the documents say of the repository is true: every path that they name is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = [ROOT / "README.md", *sorted((ROOT / "assets" / "docs").glob("*.md"))]
TOP = ("ksh_studio", "tests", "assets", ".ci")
FILES = {"README.md", "requirements.txt", "studio.py", ".mypy.ini", ".pytest.ini", ".ruff.toml"}


def links(text: str) -> list[str]:
    """What Markdown links and pictures point to inside the repository."""
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target.split("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]


def paths(text: str) -> list[str]:
    """Words in back quotes, code blocks included, that are paths of this repository."""
    words = re.findall(r"[^\s`'\"(){}<>,;:|=]+", " ".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL)))
    return [word for word in words if word in FILES or word.split("/")[0] in TOP and "/" in word]


def is_there(path: str, start: Path) -> bool:
    """Whether a file or folder, or for a `*` at least one, has this path."""
    if "*" in path:
        return any(start.glob(path))
    return (start / path).exists()


def missing(text: str, folder: Path, root: Path = ROOT) -> list[str]:
    """Paths in `text` that lead nowhere: of links as seen from its folder, of the others as seen from the root."""
    lost = [path for path in links(text) if not is_there(path, folder)]
    return lost + [path for path in paths(text) if not is_there(path.rstrip("/."), root)]


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)
def test_every_path_that_a_document_names_is_there(document):
    assert missing(document.read_text(encoding="utf-8"), document.parent) == []


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)
def test_a_document_points_to_nothing_that_a_clone_lacks(document):
    text = document.read_text(encoding="utf-8")
    assert not re.findall(r"(?i)\bdesign\.md|layout\.md|\bshared/|safety notes|generation notes", text)


def test_a_wrong_path_is_found(tmp_path):
    (tmp_path / "ksh_studio").mkdir()
    (tmp_path / "ksh_studio" / "disk.py").touch()
    text = "See `ksh_studio/disk.py`, `ksh_studio/*.py`, [it](ksh_studio/disk.py) and [the net](https://example.org/x)."
    assert missing(text, tmp_path, tmp_path) == []
    wrong = "`assets/gone.css` [here](disk.py)\n```\npytest tests/nothing\n```\n`tests/*/gone_*.py` `a/b.py`"
    lost = ["disk.py", "assets/gone.css", "tests/nothing", "tests/*/gone_*.py"]
    assert missing(wrong, tmp_path, tmp_path) == lost


def rooms_of_the_document() -> dict[str, set[str]]:
    """The table of rooms in architecture.md: path → the folders inside."""
    text = (ROOT / "assets" / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `ksh_studio/([^`]+)` \|[^|]*\|([^|]*)\|$", text, re.MULTILINE)
    return {room: set(re.findall(r"`([^`]+)/`", inside)) for room, inside in rows}


def rooms_of_the_code(package: Path) -> dict[str, set[str]]:
    """The same from the folders: what is a package, and the modules that stand by themselves."""
    packages = {path.parent.name + "/": path.parent for path in package.glob("*/__init__.py")}
    rooms = {name: {path.parent.name for path in folder.glob("*/__init__.py")} for name, folder in packages.items()}
    return rooms | {path.name: set() for path in package.glob("*.py") if path.name != "__init__.py"}


def test_the_rooms_of_the_document_are_the_folders():
    assert rooms_of_the_document() == rooms_of_the_code(ROOT / "ksh_studio")


def test_the_rooms_stand_in_the_order_that_the_border_test_holds():
    document = [room.removesuffix(".py").removesuffix("/") for room in rooms_of_the_document()]
    source = ast.parse((ROOT / "tests" / "test_borders.py").read_text(encoding="utf-8"))
    [order] = [node.value for node in source.body if isinstance(node, ast.Assign) and node.targets[0].id == "ROOMS"]
    assert document == list(ast.literal_eval(order))


def test_code_points_to_no_document_that_a_clone_lacks():
    pattern = re.compile(r"(?i)the design's|safety notes|generation notes|the project's notes|layout\.md|design\.md")
    sources = [path for top in ("ksh_studio", "tests") for path in (ROOT / top).rglob("*.py")]
    named = [path.name for path in sources if pattern.search(path.read_text(encoding="utf-8"))]
    assert named == ["test_docs.py"]
