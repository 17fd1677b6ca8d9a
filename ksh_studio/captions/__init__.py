"""A drawing gets its caption."""
