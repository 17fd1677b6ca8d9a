"""A LoRA file as bytes and names; no torch model."""
