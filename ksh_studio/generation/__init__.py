"""A prompt becomes pictures: parsed, encoded, denoised, decoded, saved with its recipe."""
