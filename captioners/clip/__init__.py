"""What CLIP interrogate is made of: lists of phrases, the model, ranking, and chains of phrases."""
