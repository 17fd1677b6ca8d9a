"""Base models and captioners: which there are, how they are loaded, and on what device."""
