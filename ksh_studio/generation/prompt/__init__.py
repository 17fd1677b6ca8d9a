"""Parses prompts in the syntax of A1111 and encodes them with their weights."""
