"""The LoRA file as bytes: its header, the names of its tensors, its metadata, the files beside it."""
