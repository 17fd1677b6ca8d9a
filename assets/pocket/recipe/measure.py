"""Measure the shipped models against their bars and print the table of the README."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from measure_base import asked_colours, speed, state_mean, weights_turn
from measure_parts import asset_sizes, captioner_figures, judge_figures, vae_figures
from measure_style import style_figures

HERE = Path(__file__).resolve().parent
ROWS = [
    ("vae whole", "VAE, mean absolute error of full scale: whole picture", "≤ 0.03"),
    ("vae inside", "the same, inside the figure", "≤ 0.05"),
    ("vae demo artist", "the same, whole picture, demo artist", "≤ 0.05"),
    ("captioner hair", "captioner on known styles: hair colour", "≥ 90 %"),
    ("captioner background", "captioner on known styles: background", "≥ 95 %"),
    ("captioner glasses", "captioner on known styles: glasses", "≥ 90 %"),
    ("captioner demo hair", "captioner on the demo artist: hair colour", "≥ 70 %"),
    ("captioner demo background", "captioner on the demo artist: background", "≥ 90 %"),
    ("base background", "base: asked background", "≥ 95 %"),
    ("base hair", "base: asked hair colour", "≥ 80 %"),
    ("state mean", "text encoder: mean of the last hidden state, 200 prompts", "≥ 0.05 in size"),
    ("weights apart", "`(red hair:1.5)` against `(red hair:0.5)`, competing colour", "≥ 30 points"),
    ("weights monotone", "the same at 0.5, 0.75, 1, 1.25, 1.5", "monotone"),
    ("style with", "LoRA on the demo drawings: called lorelei", "≥ 80 %"),
    ("style same prompts without", "the same prompts, trigger included, without it", "≤ 5 %"),
    ("style background", "with it at strength 1: asked background", "≥ 85 %"),
    ("style hair", "with it at strength 1: asked hair colour", "≥ 65 %"),
    ("style minutes", "its training, 2 cores", "≤ 5 minutes"),
    ("style near-copies", "near-copies of a demo drawing among those pictures", "printed"),
    ("seconds a picture", "one picture, 20 steps, 2 cores", "≤ 3 s"),
    ("assets MB", "all of `assets/`", "≤ 80 MB"),
    ("largest MB", "largest file", "≤ 45 MB"),
    ("judge style", "judges on held-out pictures: style", "printed"),
    ("judge hair", "hair colour", "printed"),
    ("judge background", "background", "printed"),
    ("judge lorelei", "style, on lorelei alone", "≥ 95 %"),
]
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


def table(figures: dict[str, str]) -> str:
    """Return the figures beside their bars, as Markdown."""
    lines = ["| figure | bar | measured |", "|---|---|---|"]
    lines += [f"| {words} | {bar} | {figures.get(key, 'not measured')} |" for key, words, bar in ROWS]
    return "\n".join(lines)


def write_readme(readme: Path, figures: dict[str, str]) -> None:
    """Put the table between its marks."""
    text = readme.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    readme.write_text(f"{before}{BEGIN}\n{table(figures)}\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Read the command line; parts measured earlier are kept."""
    parts: dict[str, Callable[[Path, Path], dict[str, str]]] = {
        "vae": vae_figures,
        "captioner": captioner_figures,
        "judge": judge_figures,
        "base": asked_colours,
        "state": state_mean,
        "weights": weights_turn,
        "speed": speed,
        "style": style_figures,
        "sizes": asset_sizes,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--pocket", type=Path, default=HERE.parent)
    parser.add_argument("--only", nargs="*", choices=list(parts), default=list(parts))
    arguments = parser.parse_args()
    path = arguments.build / "figures.json"
    figures = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name in arguments.only:
        figures |= parts[name](arguments.build, arguments.pocket)
        path.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    print(table(figures))
    write_readme(arguments.pocket / "README.md", figures)


if __name__ == "__main__":
    main()
