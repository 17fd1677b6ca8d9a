"""The demo folder is the mixed folder that its README describes, by an artist whom no model has seen."""

import json
from pathlib import Path

from PIL import Image

ASSETS = Path(__file__).resolve().parents[2] / "assets"
DRAWINGS = sorted((ASSETS / "demo" / "drawings").iterdir())
STYLES = json.loads((ASSETS / "pocket" / "recipe" / "styles.json").read_text(encoding="utf-8"))["styles"]


def test_forty_drawings_of_512_pixels_in_three_megabytes():
    assert len(DRAWINGS) == 40
    assert {Image.open(path).size for path in DRAWINGS} == {(512, 512)}
    assert sum(path.stat().st_size for path in DRAWINGS) <= 3_000_000


def test_the_formats_are_mixed():
    formats = [Image.open(path).format for path in DRAWINGS]
    assert (formats.count("PNG"), formats.count("JPEG"), formats.count("WEBP")) == (37, 2, 1)


def test_six_are_transparent():
    clear = [path for path in DRAWINGS if Image.open(path).convert("RGBA").getextrema()[3][0] == 0]
    assert len(clear) == 6


def test_one_is_stored_lying_down():
    turns = [Image.open(path).getexif().get(0x0112, 1) for path in DRAWINGS]
    assert sorted(turns)[-2:] == [1, 6]


def test_one_has_a_korean_name():
    assert [path.name for path in DRAWINGS if not path.name.isascii()] == ["로렐라이-그림.png"]


def test_the_demo_artist_drew_nothing_that_was_trained_on():
    of_role = {role: {e["creator"] for e in STYLES.values() if e["role"] == role} for role in ("train", "demo")}
    assert of_role["demo"] == {"Lisa Wischofsky"}
    assert len(of_role["train"]) == 6
    assert not of_role["train"] & of_role["demo"]


def test_every_style_has_licence_and_link():
    for name, entry in STYLES.items():
        assert entry["link"].startswith("https://"), name
        assert entry["licence"] in {"CC0 1.0", "CC BY 4.0", "Free for personal and commercial use"}, name


def test_every_style_is_named_in_the_readme():
    readme = (ASSETS / "pocket" / "README.md").read_text(encoding="utf-8")
    missing = [name for name, entry in STYLES.items() if entry["creator"] not in readme or entry["link"] not in readme]
    assert missing == []
