"""A prompt as artists write it: parsed, weighted, encoded."""
