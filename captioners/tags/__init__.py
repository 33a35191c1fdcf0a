"""What taggers share: labels of a model, pixels as it wants them, probabilities kept, tags chosen and rewritten."""
