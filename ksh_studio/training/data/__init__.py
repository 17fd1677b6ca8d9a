"""Captioned drawings as tensors: crops, latents, embeddings, batches."""
