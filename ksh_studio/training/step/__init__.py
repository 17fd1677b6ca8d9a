"""One optimiser step and what it moves."""
