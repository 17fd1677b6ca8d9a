import json

import pytest

from ksh_studio.config import MAX_PROMPT_CHARACTERS
from ksh_studio.project.catalogue import By, Catalogue
from tests.drawings.pictures import run_import, save_pictures

TRIGGER = "drawn by KSH drawing style"


@pytest.fixture
def drawings(folder):
    return save_pictures(folder, "가.png", "쉼표, 나.png", "하위/다.png")


def captions(project):
    with Catalogue(project) as catalogue:
        return {row.original_name: (row.caption, row.source, row.author) for row in catalogue.drawings()}


def test_the_originals_cp949_table_comes_in_without_its_trigger(project, drawings):
    text = (
        f'image,text\n가.png,a girl, smiling {TRIGGER}\n쉼표, 나.png,she says "hi"\nand leaves {TRIGGER}\n'
        f"지움.png,nobody {TRIGGER}\n다.png,파란 머리 {TRIGGER}\n"
    )
    (drawings / "info.csv").write_bytes(text.encode("cp949"))
    before = (drawings / "info.csv").read_bytes()
    imported, warned = run_import(drawings, project)
    assert (imported.added, imported.captions) == (3, 3)
    assert captions(project) == {
        "가.png": ("a girl, smiling", "file", "info.csv"),
        "쉼표, 나.png": ('she says "hi" and leaves', "file", "info.csv"),
        "다.png": ("파란 머리", "file", "info.csv"),
    }
    assert [(event.key, event.values["count"]) for event in warned] == [
        ("import.table_repaired", "3"), ("import.rows_without_drawing", "1"),
    ]  # fmt: skip
    assert warned[1].values["names"] == "지움.png"
    assert (drawings / "info.csv").read_bytes() == before


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv", "info.csv", ".txt", ".caption"])
def test_every_kind_of_caption_file_is_read(project, drawings, name):
    text = 'one, "two"'
    if name == "metadata.jsonl":
        row = json.dumps({"file_name": "하위/다.png", "text": text}, ensure_ascii=False)
        (drawings / name).write_text(row, encoding="utf-8")
    elif name.endswith(".csv"):
        (drawings / name).write_text('file_name,text\n하위/다.png,"one, ""two"""\n', encoding="utf-8-sig")
    else:
        (drawings / f"하위/다{name}").write_text(text + "\n", encoding="utf-8")
    imported, warned = run_import(drawings, project)
    assert (imported.captions, warned) == (1, [])
    assert captions(project)["다.png"][:2] == (text, "file")


def test_a_pictures_own_text_file_comes_before_tables(project, drawings):
    (drawings / "info.csv").write_text("image,text\n가.png,from the table\n", encoding="utf-8")
    (drawings / "metadata.jsonl").write_text('{"file_name": "가.png", "text": "from the lines"}', encoding="utf-8")
    (drawings / "가.txt").write_bytes("자기 글".encode("cp949"))
    run_import(drawings, project)
    assert captions(project)["가.png"] == ("자기 글", "file", "가.txt")


def test_importing_again_never_overwrites_a_person_or_a_captioner(project, drawings):
    table = 'image,text\n가.png,{0} a\n"쉼표, 나.png",{0} b\n하위/다.png,{0} c\n'
    (drawings / "info.csv").write_text(table.format("old"), encoding="utf-8")
    run_import(drawings, project)
    with Catalogue(project) as catalogue:
        names = {row.original_name: row.id for row in catalogue.drawings()}
        catalogue.save_caption(names["가.png"], "mine")
        catalogue.save_caption(names["쉼표, 나.png"], "auto", By("captioner", "x"))
    (drawings / "info.csv").write_text(table.format("new"), encoding="utf-8")
    imported, _ = run_import(drawings, project)
    assert imported.captions == 1
    assert {name: caption_and_author[0] for name, caption_and_author in captions(project).items()} == {
        "가.png": "mine", "쉼표, 나.png": "auto", "다.png": "new c",
    }  # fmt: skip
    with Catalogue(project) as catalogue:
        catalogue.save_caption(names["가.png"], "")
    run_import(drawings, project)
    assert captions(project)["가.png"][0] == ""  # emptied by a person: stays so


def test_captions_are_found_after_the_drawings_were_imported(project, drawings):
    run_import(drawings, project)
    (drawings / "info.csv").write_text("image,text\n가.png,later\n", encoding="utf-8")
    imported, _ = run_import(drawings, project)
    assert (imported.added, imported.captions) == (0, 1)


def test_what_cannot_be_read_is_named_and_the_drawings_come_in(project, drawings):
    (drawings / "info.csv").write_bytes(b"\x81")
    (drawings / "metadata.jsonl").write_text('{"file_name": "가.png", "text": "a"}\nbroken\n', encoding="utf-8")
    (drawings / "하위/다.txt").write_text("x" * (MAX_PROMPT_CHARACTERS + 1), encoding="utf-8")
    imported, warned = run_import(drawings, project)
    assert (imported.added, imported.captions) == (3, 1)
    assert [event.key for event in warned] == [
        "import.table_lines", "import.encoding_uncertain", "import.caption_too_long",
    ]  # fmt: skip
    assert [event.values["names"] for event in warned[1:]] == ["info.csv", "하위/다.txt"]


@pytest.mark.parametrize(
    "name",
    [
        "하위/다.TXT", "하위/다.png.txt", "하위/다.PNG.TXT", "하위/다.txt.txt", "하위/다.Caption", "하위/다.cap",
        "하위/다.tags",
        "하위/captions/다.txt", "캡션/../하위/Labels/다.txt", "하위/다.json", "captions.csv", "DATA.CSV", 
        "meta_cap.json", "캡션.jsonl", "a.tsv", "Info.CSV",
    ],
)  # fmt: skip
def test_caption_files_in_other_spellings_and_places_are_taken(project, drawings, name):
    texts = {
        ".json": '{"다.png": {"caption": "a girl"}}' if "meta" in name else '{"caption": "a girl"}',
        ".csv": "image,text\n다.png,a girl\n",
        ".tsv": "image\ttext\n다.png\ta girl\n",
        ".jsonl": '{"image": "하위/다.png", "text": "a girl"}\n',
    }
    path = drawings / name
    for folder in (drawings / "캡션", path.parent):
        folder.mkdir(exist_ok=True)
    path.write_text(texts.get(path.suffix.lower(), "a girl"), encoding="utf-8")
    imported, warned = run_import(drawings, project)
    assert (imported.captions, imported.unreadable, warned) == (1, (), [])
    assert captions(project)["다.png"][0] == "a girl"


def test_files_for_captions_that_belong_to_no_drawing_are_counted_and_named(project, drawings):
    (drawings / "읽어 주세요.txt").write_text("글", encoding="utf-8")
    (drawings / "orders.csv").write_text("id,price\n1,20\n2,30\n", encoding="utf-8")
    (drawings / "config.json").write_text('{"rank": 16}', encoding="utf-8")
    (drawings / "가.json").write_text('{"width": 16}', encoding="utf-8")
    (drawings / "나.caption").write_text("no drawing", encoding="utf-8")
    (drawings / "표.xlsx").write_bytes(b"PK\3\4 table")
    (drawings / "글.hwp").write_bytes(b"\xd0\xcf\x11\xe0 text")
    imported, warned = run_import(drawings, project)
    assert (imported.added, imported.captions, warned) == (3, 0, [])
    assert dict(imported.unreadable) == {
        "읽어 주세요.txt": "import.reason_caption_alone",
        "나.caption": "import.reason_caption_alone",
        "orders.csv": "import.reason_no_captions",
        "config.json": "import.reason_no_captions",
        "가.json": "import.reason_no_captions",
        "표.xlsx": "import.reason_spreadsheet",
        "글.hwp": "import.reason_document",
    }


@pytest.mark.parametrize("text", ["青い髪の少女", "かわいい猫, 笑顔"])
def test_japanese_captions_in_shift_jis_are_japanese(project, drawings, text):
    (drawings / "가.txt").write_bytes(text.encode("cp932"))
    run_import(drawings, project)
    assert captions(project)["가.png"][0] == text


def test_many_files_of_an_uncertain_encoding_are_one_warning(project, folder):
    save_pictures(folder, *(f"{n}.png" for n in range(7)))
    for number in range(7):
        (folder / f"{number}.txt").write_bytes("蓝色头发的女孩".encode("gb18030"))
    imported, warned = run_import(folder, project)
    assert (imported.added, imported.captions, [event.key for event in warned]) == (7, 0, ["import.encoding_uncertain"])
    assert warned[0].values["count"] == "7"
    assert warned[0].values["names"] == "0.txt, 1.txt, 2.txt, 3.txt, 4.txt, … (+2)"
    assert "GBK" in warned[0].text("ko") and "UTF-8" in warned[0].text("en")


def test_uploaded_pictures_take_their_table_along(project, drawings, tmp_path):
    (tmp_path / "u1").write_text("image,text\n가.png,uploaded\n", encoding="utf-8")
    files = {drawings / "가.png": "가.png", tmp_path / "u1": "info.csv"}
    imported, _ = run_import(list(files), project, names=files)
    assert (imported.added, imported.captions) == (1, 1)


def test_a_name_that_two_folders_have_is_not_guessed(project, folder):
    save_pictures(folder, "하나/가.png", "둘/가.png")
    (folder / "info.csv").write_text("image,text\n가.png,whose\n", encoding="utf-8")
    imported, warned = run_import(folder, project)
    assert (imported.captions, [event.key for event in warned]) == (0, ["import.rows_without_drawing"])
