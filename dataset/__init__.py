"""Pictures and captions on disk, up to the pixels that a trainer sees; no tensors in here."""
