"""What a training leaves on disk: LoRA files with their metadata, checkpoints."""
