"""What is asked of the denoiser: which noise goes in, what should come out, and how much each error counts."""
