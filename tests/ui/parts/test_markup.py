import ast
import re
from pathlib import Path

import pytest

from ksh_studio import ui
from ksh_studio.ui.parts import markup
from ksh_studio.ui.parts.markup import element, entry, figures, fold, joined, link, note, picture_button, value_button

PAGE = Path(ui.__file__).parent
EVIL = "<script>\"&'"
TEMPLATES = {"caption/tab.py", "caption/import_panel.py"}
"""Modules that give gradio a fixed template, into which nothing is put on the server."""


def test_what_is_not_html_already_is_escaped_wherever_it_is_put_in():
    blocks = [
        element("p", EVIL, title=EVIL),
        note(EVIL),
        link(EVIL, EVIL, EVIL),
        entry(EVIL, EVIL, EVIL),
        fold(EVIL, EVIL),
        figures([(EVIL, EVIL, EVIL)]),
        value_button(EVIL, EVIL, EVIL),
        picture_button(EVIL, EVIL, EVIL),
        joined([EVIL], between=EVIL),
    ]
    for block in blocks:
        assert "<script>" not in block and "&lt;script&gt;" in block
        assert '"&' not in block.replace('">', "").replace('="', "")


def test_html_made_here_is_not_escaped_again_and_attributes_have_their_names_in_html():
    assert note(element("b", "x")) == '<div class="ksh-note ksh-plain" role="status"><b>x</b></div>'
    assert element("p", None, data_large="a", open=True, title=None, hidden=False) == '<p data-large="a" open></p>'
    assert element("img", src="a") == '<img src="a">'


@pytest.mark.parametrize("path", sorted(PAGE.rglob("*.py")), ids=lambda path: path.relative_to(PAGE).as_posix())
def test_no_other_module_of_the_page_writes_html(path):
    if path == Path(markup.__file__) or path.relative_to(PAGE).as_posix() in TEMPLATES:
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings]
    assert [text for text in texts if isinstance(text, str) and re.search(r"</?[a-z]+[ >/]", text)] == []
