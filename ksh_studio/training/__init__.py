"""Captioned drawings become a LoRA."""
