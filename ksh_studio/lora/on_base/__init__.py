"""A LoRA file on a base model: attached, folded in, compared."""
