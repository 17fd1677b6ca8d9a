"""The formats in which other programs keep captions: text files and tables."""
