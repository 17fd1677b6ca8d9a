"""From noise to latents: samplers, noise levels, the denoising loop."""
