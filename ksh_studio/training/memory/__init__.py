"""How much memory there is, and what to do when it is short."""
