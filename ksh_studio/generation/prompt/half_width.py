"""Characters that Korean, Japanese and Chinese keyboards write where a prompt means those of ASCII.

A1111's tokenizer does the same to full-width characters and curly quotes, with the package ftfy. Each character stays
one character, so that positions in the text stay what they were.
"""

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""Letters, digits and signs, U+FF01 to U+FF5E."""
_OTHERS = {
    "\u3000": " ",  # ideographic space
    "\u3001": ",",  # ideographic comma
    "\uff64": ",",  # its half-width form
    "\u2018": "'",
    "\u2019": "'",
    "\u201b": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u201f": '"',
}
_HALF_WIDTH = _FULL_WIDTH | str.maketrans(_OTHERS)


def half_width(text: str) -> str:
    """The text with full-width letters, digits and signs, ideographic commas and blanks, and curly quotes as ASCII."""
    return text.translate(_HALF_WIDTH)
