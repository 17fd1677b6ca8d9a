"""The LoRA file: reading and saving it, attaching it to a base model, merging, converting and publishing it."""
