"""The LoRA itself: attached to a model (inject), named (targets, keys), written, read (file, metadata), merged (merge).

One name runs through all of it: `denoiser.down_blocks.0...to_q` is the part, then the path of the layer in that part.
"""
