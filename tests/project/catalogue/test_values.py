"""What a stranger may have put into a database: refused when it comes in, and left out where it stands already."""

import sqlite3
from contextlib import closing

import pytest

from ksh_studio.drawings.exporting import export
from ksh_studio.errors import StudioError
from ksh_studio.project.catalogue import By, Catalogue, NewDrawing, check_foreign
from ksh_studio.project.catalogue.values import COLUMNS, MOST

ODD = [
    "UPDATE drawings SET id = '../../../other/private' WHERE id = 'b'",
    "UPDATE drawings SET id = '..' WHERE id = 'b'",
    "UPDATE drawings SET id = '' WHERE id = 'b'",
    "UPDATE drawings SET id = 'a' || char(0) WHERE id = 'b'",
    "UPDATE drawings SET id = x'62' WHERE id = 'b'",
    "UPDATE drawings SET id = 'C:b' WHERE id = 'b'",
    "UPDATE drawings SET width = 0 WHERE id = 'b'",
    "UPDATE drawings SET width = 'wide' WHERE id = 'b'",
    "UPDATE drawings SET height = 9223372036854775807 WHERE id = 'b'",
    "UPDATE drawings SET height = 1.5 WHERE id = 'b'",
    "UPDATE drawings SET flags = x'ff' WHERE id = 'b'",
    "UPDATE drawings SET revision = -1 WHERE id = 'b'",
    "UPDATE drawings SET original_name = x'00' WHERE id = 'b'",
    "UPDATE drawings SET pixel_sha256 = printf('%.200c', 'x') WHERE id = 'b'",
    "UPDATE captions SET caption = x'fffe' WHERE drawing = 'b'",
    "UPDATE captions SET caption = printf('%.70000c', 'x') WHERE drawing = 'b'",
    "UPDATE captions SET settings = zeroblob(10) WHERE drawing = 'b'",
    "UPDATE captions SET author = 'a' || char(0) WHERE drawing = 'b'",
]
ODD_ELSEWHERE = [
    "UPDATE captions SET time = 9e999",
    "UPDATE captions SET time = -1",
    "UPDATE drawings SET imported = 'yesterday'",
    "UPDATE edits SET before = x'00'",
    "UPDATE edits SET drawing = '../x'",
    "UPDATE seen SET drawing = '../x'",
    "UPDATE seen SET path = zeroblob(100)",
    "UPDATE captions SET caption = CAST(x'ff' AS TEXT)",
    "DELETE FROM drawings WHERE id = 'b'",
]


def changed(path, statement):
    """What a stranger's own SQLite does to the file, who keeps the layout."""
    with closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.commit()


@pytest.fixture
def filled(project):
    """A project with two captioned drawings and everything that the tables can hold."""
    with Catalogue(project) as catalogue:
        for name in "ab":
            drawing = NewDrawing(name, f"{name}.png", f"x/{name}.png", 48, 40, f"f{name}", f"p{name}", ("alpha",))
            catalogue.add(drawing)
            drawing.path(project).parent.mkdir(exist_ok=True)
            drawing.path(project).write_bytes(b"RIFF0000WEBP" + name.encode())
            catalogue.save_caption(name, "auto", By("captioner", "x", {"seed": 1}))
            catalogue.save_caption(name, f"caption {name}")
        catalogue.remember("root", [])
        catalogue._open.execute("INSERT INTO seen VALUES ('root', 'a.png', 'fa', 'a')")
    return project


def test_every_column_has_its_bounds(filled):
    with Catalogue(filled) as catalogue:
        for table, columns in COLUMNS.items():
            names = [row["name"] for row in catalogue._open.execute(f"PRAGMA table_info({table})")]
            assert names == list(columns)


def test_what_we_write_is_sound_to_the_bounds(filled, tmp_path):
    with Catalogue(filled) as catalogue:
        catalogue.add(NewDrawing("c" * 64, "그" * 255, "한/" * 5000, 1536, 1, "f", "p"))
        catalogue.save_caption("c" * 64, "\uf900가" * 10_000, By("file", "표.csv"))
        catalogue.undo()
        catalogue.exclude("a")
        catalogue._open.execute("UPDATE drawings SET revision = ? WHERE id = 'a'", (MOST,))
        catalogue.copy_to(tmp_path / "copy.db")
    check_foreign(tmp_path / "copy.db")


@pytest.mark.parametrize("statement", [*ODD, *ODD_ELSEWHERE])
def test_a_database_from_elsewhere_is_refused(filled, tmp_path, statement):
    with Catalogue(filled) as catalogue:
        catalogue.copy_to(tmp_path / "theirs.db")
    changed(tmp_path / "theirs.db", statement)
    with pytest.raises(StudioError) as error:
        check_foreign(tmp_path / "theirs.db")
    assert error.value.sentence.key == "captions.damaged"


@pytest.mark.parametrize("statement", ODD)
def test_one_odd_drawing_hides_no_other_and_is_read_from_nowhere(filled, tmp_path, statement):
    private = filled.root.parent / "other" / "private.webp"
    private.parent.mkdir()
    private.write_bytes(b"RIFF0000WEBPsecret")
    changed(filled.captions_db, statement)
    with Catalogue(filled) as catalogue:
        assert [drawing.id for drawing in catalogue.drawings()] == ["a"]
        assert [drawing.caption for drawing in catalogue.page().rows] == ["caption a"]
        with pytest.raises(StudioError):
            catalogue.drawing("../../../other/private")
    list(export(filled, tmp_path / "out", "txt"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.txt", "a.webp"]


def test_a_letter_that_is_no_utf_8_costs_itself_only(filled):
    changed(filled.captions_db, "UPDATE captions SET caption = CAST(x'6120636174ff' AS TEXT)")
    with Catalogue(filled) as catalogue:
        assert [drawing.caption for drawing in catalogue.drawings()] == ["a cat\ufffd"] * 2
