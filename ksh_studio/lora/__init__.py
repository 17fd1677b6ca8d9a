"""The LoRA file: its names, its header (no torch), its metadata, writing it, and putting it onto a base model."""
