"""KSH Studio: a folder of drawings becomes a model that draws like them."""

from pathlib import Path

__version__ = "0.1.0"
ROOT = Path(__file__).resolve().parent.parent
"""The folder of `studio.py`."""
ASSETS = ROOT / "assets"
"""Models, drawings, sentences, styles and scripts that come with the studio."""
