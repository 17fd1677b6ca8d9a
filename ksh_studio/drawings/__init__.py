"""Imports drawings with their captions into a project, and exports them in formats that other programs read."""
