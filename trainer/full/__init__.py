"""Training all weights of a denoiser, instead of a LoRA beside them: the checkpoint that comes of it, and its names."""
