"""A folder of drawings becomes clean, captioned training data, and goes out again in other programs' formats."""
